package org.respec.kernels.check;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.check.AttentionScene.Request;
import org.respec.kernels.check.AttentionScene.Types;
import org.respec.kernels.cpu.CpuOps;
import org.respec.kernels.gpu.GpuOps;

/** Tree attention is cut otherwise on other devices; the bits are the same. */
class TreeAttentionPlansTest {
    private static final long SEED = 71;
    private static final int FULL = 227 * 1024;

    /** One row for each kind of device: multiprocessors, shared memory of a block, memory. */
    private static final Object[][] DEVICES = {
        {"folds 128 rows a block", 1, FULL, 1L << 32}, {"64 rows and a chunk a block", 1 << 20, FULL, 1L << 32},
        {"folds 64 rows a block", 1, 36 * 1024, 1L << 32}, {"16 rows and a chunk a block", 1, 18_500, 1L << 32},
        {"in several launches", 1, FULL, 64L * 100_000}, {"row by row", 1 << 20, FULL, 64L * 12_000}};

    @ParameterizedTest
    @CsvSource({"BF16, 4, 32", "F32, 4, 32", "BF16, 3, 64"})
    void everyPlanGivesTheSameBits(DType dtype, int heads, int headDim) {
        int[] want = null;
        for (Object[] kind : DEVICES) {
            int shared = (Integer) kind[2] == FULL ? FULL : (Integer) kind[2] * (headDim / 32) * (dtype == DType.F32 ? 2 : 1);
            int[] got = run((Integer) kind[1], shared, (Long) kind[3], dtype, new AttentionShape(heads, 1, headDim));
            if (want == null) {
                want = got;
            }
            assertArrayEquals(want, got, (String) kind[0]);
        }
    }

    private static int[] run(int multiprocessors, int shared, long memory, DType dtype, AttentionShape shape) {
        try (CpuOps truth = new CpuOps(2); GpuOps device = new GpuOps(device(multiprocessors, shared, memory));
                CheckBench bench = new CheckBench(truth, device, SEED)) {
            AttentionScene scene = new AttentionScene(bench, shape, new Types(dtype, dtype, 64), 0, requests(bench));
            scene.compare("plans", 8e-3, dtype == DType.F32 ? 1e-5 : 8e-3);
            bench.finish();
            List<Integer> bits = new ArrayList<>();
            for (int row = 0; row < scene.rows(); row++) {
                for (float value : scene.got(row)) {
                    assertFalse(Float.isNaN(value));
                    bits.add(Float.floatToRawIntBits(value));
                }
            }
            return bits.stream().mapToInt(Integer::intValue).toArray();
        }
    }

    /** Contexts of one chunk, of several, and of more than a span has. */
    private static List<Request> requests(CheckBench bench) {
        int[] parents = new int[41];
        for (int i = 0; i < parents.length; i++) {
            parents[i] = i == 0 ? -1 : bench.random().nextInt(Math.max(0, i - 7), i);
        }
        long[] tokens = bench.random().longs(4800, 1, Long.MAX_VALUE).toArray();
        return List.of(Request.tree(Arrays.copyOf(tokens, 1020 + 41), 1020, parents),
            Request.tree(Arrays.copyOf(tokens, 4600 + 9), 4600, Arrays.copyOf(parents, 9)),
            Request.prefill(Arrays.copyOf(tokens, 520), 460), Request.decode(Arrays.copyOf(tokens, 4097)),
            Request.decode(Arrays.copyOf(tokens, 7)));
    }

    /** The emulator with other properties. */
    private static GpuDriver device(int multiprocessors, int shared, long memory) {
        EmulatorDriver emulator;
        try {
            emulator = EmulatorDriver.open(EmulatorOptions.defaults());
        } catch (GpuException e) {
            assumeTrue(false, e.getMessage());
            throw e;
        }
        GpuDevice d = emulator.device();
        GpuDevice other = new GpuDevice(d.name(), d.architecture(), d.uuid(), multiprocessors, shared, d.l2Bytes(), memory,
            d.driverVersion());
        return (GpuDriver) Proxy.newProxyInstance(GpuDriver.class.getClassLoader(), new Class<?>[] {GpuDriver.class},
            (proxy, method, arguments) -> {
                if (method.getName().equals("device")) {
                    return other;
                }
                try {
                    return method.invoke(emulator, arguments);
                } catch (InvocationTargetException e) {
                    throw e.getCause();
                }
            });
    }
}
