package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
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
import org.respec.kernels.PackedMatrix;

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

    /** Results that are added to, in both types, and tiles that end past the last row and output. */
    @Test
    void everyTileAddsTheSameBits() {
        try (GpuDriver driver = open(); GpuContext gpu = new GpuContext(driver)) {
            for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
                // Rows that runs of 16 bytes fit, and rows that they do not.
                for (int outputs : new int[] {136, 75}) {
                    GpuArena arena = new GpuArena(gpu, "gemm");
                    HostMirror x = random(gpu, arena, DType.BF16, ROWS, 192);
                    HostMirror w = random(gpu, arena, DType.BF16, outputs, 192);
                    HostMirror before = random(gpu, arena, dtype, ROWS, outputs);
                    HostMirror y = arena.mirror(dtype, ROWS, outputs);
                    HostMirror product = arena.mirror(DType.F32, ROWS, outputs);
                    GemmRowsKernel rows = new GemmRowsKernel(gpu);
                    GemmTilesKernel tiles = new GemmTilesKernel(gpu);
                    tiles.launch(x.device(), w.device(), product.device(), false, ROWS);
                    byte[] want = sum(pull(gpu, product), before);
                    copy(gpu, before, y);
                    tiles.launch(x.device(), w.device(), y.device(), true, ROWS);
                    assertArrayEquals(want, bytes(gpu, y), "tiles, " + dtype + ", " + outputs + " outputs");
                    Stream.of(GemmRowsKernel.TILES_8, GemmRowsKernel.TILES_16, GemmRowsKernel.TILES_32, GemmRowsKernel.TILES_64)
                        .flatMap(List::stream).forEach(tile -> {
                            copy(gpu, before, y);
                            rows.launch(tile, x.device(), w.device(), y.device(), true, ROWS);
                            assertArrayEquals(want, bytes(gpu, y), tile + ", " + dtype + ", " + outputs + " outputs");
                        });
                    arena.close();
                }
            }
        }
    }

    /** Groups of row tiles: the last one is smaller, and every tile is made once. */
    @Test
    void manyRowsAreMadeOnce() {
        try (GpuDriver driver = open(); GpuContext gpu = new GpuContext(driver)) {
            GpuArena arena = new GpuArena(gpu, "gemm");
            int rows = 18 * 128 - 5;
            HostMirror x = random(gpu, arena, DType.BF16, rows, 8);
            HostMirror w = random(gpu, arena, DType.BF16, 260, 8);
            HostMirror y = arena.mirror(DType.F32, rows, 260);
            new GemmRowsKernel(gpu).launch(GemmRowsKernel.TILES_64.getFirst(), x.device(), w.device(), y.device(), false, rows);
            float[] want = pull(gpu, y);
            y.host().host().fill((byte) -1);
            copyIn(gpu, y);
            new GemmTilesKernel(gpu).launch(x.device(), w.device(), y.device(), false, rows);
            assertArrayEquals(want, pull(gpu, y));
            arena.close();
        }
    }

    /** On a device of 132 multiprocessors with 227 KiB of shared memory a block: no second wave for a few blocks. */
    @Test
    void tilesAreChosenByTheBusiestMultiprocessor() {
        assertEquals(new GemmRowsKernel.Tile(4, 8, 3), GemmRowsKernel.choose(64, 4608, 132, 227 << 10));
        assertEquals(new GemmRowsKernel.Tile(2, 8, 3), GemmRowsKernel.choose(64, 2048, 132, 227 << 10));
        assertEquals(new GemmRowsKernel.Tile(2, 8, 2), GemmRowsKernel.choose(64, 2048, 132, 99 << 10));
        assertEquals(new GemmRowsKernel.Tile(1, 2, 4), GemmRowsKernel.choose(16, 2048, 132, 227 << 10));
        assertEquals(new GemmRowsKernel.Tile(2, 2, 4), GemmRowsKernel.choose(16, 8192, 132, 227 << 10));
        assertTrue(GemmTilesKernel.suits(1024, 2048, 132));
        assertTrue(GemmTilesKernel.suits(256, 4608, 132));
        assertFalse(GemmTilesKernel.suits(128, 2048, 132));
        assertFalse(GemmTilesKernel.suits(64, 1 << 20, 132));
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
                GpuLinear ours = new GpuLinear(gpu);
                GpuPackedMatrix packed = ours.pack(arena, w.device(), dtype);
                ours.linear(x.device(), packed, y.device(), false, ROWS);
                float[] want = pull(gpu, y);
                ours.fastLinear(x.device(), packed, y.device(), false, ROWS);
                float[] got = pull(gpu, y);
                for (int i = 0; i < want.length; i++) {
                    assertEquals(want[i], got[i], 2e-5f, dtype + ", element " + i);
                }
                arena.close();
            }
        }
    }

    /** Only what asks for it, and only in BF16, is summed in another order than rows in a rollout. */
    @Test
    void fastProductsAreAskedFor() {
        try (GpuOps ops = new GpuOps(open())) {
            GpuContext gpu = ops.context();
            for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
                GpuArena arena = new GpuArena(gpu, "gemm");
                HostMirror x = random(gpu, arena, dtype, ROWS, 1096);
                HostMirror w = random(gpu, arena, dtype, 75, 1096);
                HostMirror y = arena.mirror(DType.F32, ROWS, 75);
                PackedMatrix packed = ops.pack(arena, w.device());
                ops.linear(x.device(), packed, y.device(), false, ROWS);
                float[] want = pull(gpu, y);
                ops.useFastProducts(false);
                ops.fastLinear(x.device(), packed, y.device(), false, ROWS);
                assertArrayEquals(want, pull(gpu, y));
                ops.useFastProducts(true);
                ops.fastLinear(x.device(), packed, y.device(), false, ROWS);
                float[] got = pull(gpu, y);
                assertEquals(dtype == DType.F32, Arrays.equals(want, got), dtype::toString);
                assertArrayEquals(want, got, 1e-4f);
                ops.linear(x.device(), packed, y.device(), false, ROWS);
                assertArrayEquals(want, pull(gpu, y));
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
        copyIn(gpu, mirror);
        return mirror;
    }

    private static void copyIn(GpuContext gpu, HostMirror mirror) {
        gpu.stream().copyIn(mirror.host().host(), 0, ((GpuStorage) mirror.device().storage()).memory(), 0,
            mirror.host().size() * mirror.host().dtype().bytes());
    }

    private static void copy(GpuContext gpu, HostMirror from, HostMirror to) {
        to.host().host().copyFrom(from.host().host());
        copyIn(gpu, to);
    }

    private static byte[] bytes(GpuContext gpu, HostMirror y) {
        gpu.stream().copyOut(((GpuStorage) y.device().storage()).memory(), 0, y.host().host(), 0,
            y.host().size() * y.host().dtype().bytes());
        gpu.stream().synchronize();
        return y.host().host().toArray(ValueLayout.JAVA_BYTE);
    }

    /** What a product added to {@code before} must be: one float addition, rounded once to its type. */
    private static byte[] sum(float[] product, HostMirror before) {
        ByteBuffer sum = ByteBuffer.allocate((int) before.host().host().byteSize()).order(ByteOrder.nativeOrder());
        for (int i = 0; i < product.length; i++) {
            if (before.host().dtype() == DType.F32) {
                sum.putFloat(before.host().host().get(ValueLayout.JAVA_FLOAT, 4L * i) + product[i]);
            } else {
                float old = Float.intBitsToFloat(before.host().host().get(ValueLayout.JAVA_SHORT, 2L * i) << 16);
                int bits = Float.floatToRawIntBits(old + product[i]);
                sum.putShort((short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16));
            }
        }
        return sum.array();
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
