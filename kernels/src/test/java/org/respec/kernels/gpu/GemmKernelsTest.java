package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;

/** Every tile of the row-invariant products gives the same bits: which one a launch takes may depend on the device and the rows. */
class GemmKernelsTest {
    private static final int ROWS = 140;

    @Test
    void everyTileGivesTheSameBits() {
        try (GpuDriver driver = open(); GpuContext gpu = new GpuContext(driver)) {
            // Under, at and over eight spans, and a last span in part.
            for (int inputs : new int[] {8, 72, 192, 512, 1096}) {
                GpuArena arena = new GpuArena(gpu, "gemm");
                HostMirror x = random(gpu, arena, DType.BF16, ROWS, inputs);
                HostMirror w = random(gpu, arena, DType.BF16, 75, inputs);
                HostMirror y = arena.mirror(DType.F32, ROWS, 75);
                GemmRowsKernel rows = new GemmRowsKernel(gpu);
                GemmTilesKernel tiles = new GemmTilesKernel(gpu);
                assertEquals(true, tiles.takes(x.device(), w.device()));
                tiles.launch(x.device(), w.device(), y.device(), false, ROWS);
                float[] want = pull(gpu, y);
                Stream.of(GemmRowsKernel.TILES_8, GemmRowsKernel.TILES_16, GemmRowsKernel.TILES_32, GemmRowsKernel.TILES_64)
                    .flatMap(List::stream).forEach(tile -> {
                        rows.launch(tile, x.device(), w.device(), y.device(), false, ROWS);
                        same(want, pull(gpu, y), tile + " over " + inputs + " inputs");
                    });
                arena.close();
            }
        }
    }

    @Test
    void everyFloatTileGivesTheSameBits() {
        try (GpuDriver driver = open(); GpuContext gpu = new GpuContext(driver)) {
            for (int inputs : new int[] {4, 41, 1000, 1096}) {
                GpuArena arena = new GpuArena(gpu, "gemm");
                HostMirror x = random(gpu, arena, DType.F32, ROWS, inputs);
                HostMirror w = random(gpu, arena, DType.F32, 75, inputs);
                HostMirror y = arena.mirror(DType.F32, ROWS, 75);
                GemmRowsKernel rows = new GemmRowsKernel(gpu);
                float[] want = null;
                for (GemmRowsKernel.FloatTile tile : GemmRowsKernel.FLOAT_TILES) {
                    rows.launch(tile, x.device(), w.device(), y.device(), false, ROWS);
                    float[] got = pull(gpu, y);
                    if (want != null) {
                        same(want, got, tile + " over " + inputs + " inputs");
                    }
                    want = got;
                }
                arena.close();
            }
        }
    }

    /** The product by cuBLAS (here OpenBLAS) and ours agree but for the order of their sums. */
    @Test
    void invariantAndFastProductsAgree() {
        try (GpuDriver driver = open(); GpuContext gpu = new GpuContext(driver)) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
                GpuArena arena = new GpuArena(gpu, "gemm");
                HostMirror x = random(gpu, arena, dtype, ROWS, 200);
                HostMirror w = random(gpu, arena, DType.F32, 75, 200);
                HostMirror y = arena.mirror(DType.F32, ROWS, 75);
                GpuLinear ours = new GpuLinear(gpu, true);
                GpuPackedMatrix packed = ours.pack(arena, w.device(), dtype);
                ours.linear(x.device(), packed, y.device(), false, ROWS);
                float[] want = pull(gpu, y);
                new GpuLinear(gpu, false).linear(x.device(), packed, y.device(), false, ROWS);
                float[] got = pull(gpu, y);
                for (int i = 0; i < want.length; i++) {
                    assertEquals(want[i], got[i], 2e-5f, dtype + ", element " + i);
                }
                arena.close();
            }
        }
    }

    private static GpuDriver open() {
        try {
            return EmulatorDriver.open(EmulatorOptions.defaults());
        } catch (GpuException e) {
            assumeTrue(false, e.getMessage());
            throw e;
        }
    }

    private static HostMirror random(GpuContext gpu, GpuArena arena, DType dtype, int rows, int cols) {
        HostMirror mirror = arena.mirror(dtype, rows, cols);
        SplittableRandom random = new SplittableRandom(rows * 31L + cols);
        for (long i = 0; i < mirror.host().size(); i++) {
            float value = (float) random.nextDouble(-1, 1);
            if (dtype == DType.F32) {
                mirror.host().host().set(ValueLayout.JAVA_FLOAT, 4 * i, value);
            } else {
                mirror.host().host().set(ValueLayout.JAVA_SHORT, 2 * i, (short) (Float.floatToRawIntBits(value) >>> 16));
            }
        }
        gpu.stream().copyIn(mirror.host().host(), 0, ((GpuStorage) mirror.device().storage()).memory(), 0,
            mirror.host().size() * dtype.bytes());
        return mirror;
    }

    private static float[] pull(GpuContext gpu, HostMirror y) {
        gpu.stream().copyOut(((GpuStorage) y.device().storage()).memory(), 0, y.host().host(), 0, y.host().size() * 4);
        gpu.stream().synchronize();
        return y.host().host().toArray(ValueLayout.JAVA_FLOAT);
    }

    private static void same(float[] want, float[] got, String what) {
        for (int i = 0; i < want.length; i++) {
            int at = i;
            assertEquals(Float.floatToRawIntBits(want[i]), Float.floatToRawIntBits(got[i]),
                () -> what + ", row " + at / 75 + ", output " + at % 75 + ": " + want[at] + " and " + got[at]);
        }
    }
}
