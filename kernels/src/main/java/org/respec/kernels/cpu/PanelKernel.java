package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.respec.bindings.memory.RawMemory;

/**
 * The inner loops of {@code y = x W^T} over weights packed in panels. A panel holds {@link #WIDTH} outputs: for each input in turn,
 * their weights side by side. Each lane of an accumulator is one output, and sums {@code fma(x[k], w[k], sum)} from 0 for k = 0,
 * 1, ...: the same chain in every kernel here, so that an output's bits depend neither on the kernel, nor on the lanes of the
 * machine, nor on the rows beside it.
 *
 * <p>What was tried (Zen 3, 3.2 GHz, peak 102 GFLOP/s a core; weights in L3; GFLOP/s at 4, 6 and 96 rows):
 * <ul>
 * <li>int-counted loops: 25 for 4 rows, since C2 unrolls them, hoists all loads and spills; 44 to 68 for 6 rows.
 * <li>a loop over addresses, which C2 leaves alone: 39 for 4 rows, half lost to range checks of each load.
 * <li>the same with masked addresses, which C2 can prove to be in range: 69, 78 and 75. Unrolling by hand adds nothing.
 * <li>4 rows by panels of three vectors: 65 at 4 rows and 87 at 96, but panels of 24 pad 128 outputs to 144.
 * <li>one row: one panel at a time reaches 75 % of the read bandwidth of L3 (latency of one chain), two or four all of it.
 * </ul>
 */
final class PanelKernel {
    static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    /** Outputs of a panel. */
    static final int WIDTH = 2 * SPECIES.length();
    /** Most rows that one call handles. */
    static final int MAX_ROWS = 6;
    /** Row strides in bytes, up to here. */
    static final long MAX_STRIDE = (1L << 40) - 1;

    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final long VECTOR = SPECIES.vectorByteSize();
    private static final long STEP = 2 * VECTOR;
    /** Changes no address that a process can have, and proves to C2 that it lies in {@link RawMemory#ALL}. */
    private static final long ADDRESS = (1L << 56) - 1;

    private PanelKernel() {
    }

    /** One row by two neighbouring panels. */
    static void oneRowTwoPanels(long x, long panel, int inputs, long y, boolean accumulate) {
        FloatVector s0 = FloatVector.zero(SPECIES);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        long next = (inputs * STEP) & MAX_STRIDE;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector a = broadcast(x);
            s0 = a.fma(load(panel), s0);
            s1 = a.fma(load(panel + VECTOR), s1);
            s2 = a.fma(load(panel + next), s2);
            s3 = a.fma(load(panel + next + VECTOR), s3);
            x += 4;
            panel += STEP;
        }
        store(s0, s1, y, accumulate);
        store(s2, s3, y + STEP, accumulate);
    }

    /** Two rows by two neighbouring panels. */
    static void twoRowsTwoPanels(long x, long xStride, long panel, int inputs, long y, long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        long row1 = xStride & MAX_STRIDE;
        long next = (inputs * STEP) & MAX_STRIDE;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector a0 = broadcast(x);
            FloatVector a1 = broadcast(x + row1);
            FloatVector b = load(panel);
            s00 = a0.fma(b, s00);
            s10 = a1.fma(b, s10);
            b = load(panel + VECTOR);
            s01 = a0.fma(b, s01);
            s11 = a1.fma(b, s11);
            b = load(panel + next);
            s02 = a0.fma(b, s02);
            s12 = a1.fma(b, s12);
            b = load(panel + next + VECTOR);
            s03 = a0.fma(b, s03);
            s13 = a1.fma(b, s13);
            x += 4;
            panel += STEP;
        }
        store(s00, s01, y, accumulate);
        store(s02, s03, y + STEP, accumulate);
        store(s10, s11, y + yStride, accumulate);
        store(s12, s13, y + yStride + STEP, accumulate);
    }

    /** One to four rows by one panel; past {@code rows}, the first row is computed again and not stored. */
    static void fourRows(int rows, long x, long xStride, long panel, int inputs, long y, long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s30 = s00;
        FloatVector s31 = s00;
        long row1 = rows > 1 ? xStride & MAX_STRIDE : 0;
        long row2 = rows > 2 ? 2 * xStride & MAX_STRIDE : 0;
        long row3 = rows > 3 ? 3 * xStride & MAX_STRIDE : 0;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector b0 = load(panel);
            FloatVector b1 = load(panel + VECTOR);
            FloatVector a = broadcast(x);
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = broadcast(x + row1);
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = broadcast(x + row2);
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            a = broadcast(x + row3);
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            x += 4;
            panel += STEP;
        }
        store(s00, s01, y, accumulate);
        if (rows > 1) {
            store(s10, s11, y + yStride, accumulate);
        }
        if (rows > 2) {
            store(s20, s21, y + 2 * yStride, accumulate);
        }
        if (rows > 3) {
            store(s30, s31, y + 3 * yStride, accumulate);
        }
    }

    /** Five or six rows by one panel; a sixth that is not live repeats the first and is not stored. */
    static void sixRows(int rows, long x, long xStride, long panel, int inputs, long y, long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s30 = s00;
        FloatVector s31 = s00;
        FloatVector s40 = s00;
        FloatVector s41 = s00;
        FloatVector s50 = s00;
        FloatVector s51 = s00;
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long row3 = 3 * xStride & MAX_STRIDE;
        long row4 = 4 * xStride & MAX_STRIDE;
        long row5 = rows > 5 ? 5 * xStride & MAX_STRIDE : 0;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector b0 = load(panel);
            FloatVector b1 = load(panel + VECTOR);
            FloatVector a = broadcast(x);
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = broadcast(x + row1);
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = broadcast(x + row2);
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            a = broadcast(x + row3);
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            a = broadcast(x + row4);
            s40 = a.fma(b0, s40);
            s41 = a.fma(b1, s41);
            a = broadcast(x + row5);
            s50 = a.fma(b0, s50);
            s51 = a.fma(b1, s51);
            x += 4;
            panel += STEP;
        }
        store(s00, s01, y, accumulate);
        store(s10, s11, y + yStride, accumulate);
        store(s20, s21, y + 2 * yStride, accumulate);
        store(s30, s31, y + 3 * yStride, accumulate);
        store(s40, s41, y + 4 * yStride, accumulate);
        if (rows > 5) {
            store(s50, s51, y + 5 * yStride, accumulate);
        }
    }

    private static FloatVector load(long address) {
        return FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, address, ORDER);
    }

    private static FloatVector broadcast(long address) {
        return FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, address));
    }

    private static void store(FloatVector low, FloatVector high, long address, boolean accumulate) {
        if (accumulate) {
            low = load(address).add(low);
            high = load(address + VECTOR).add(high);
        }
        low.intoMemorySegment(RawMemory.ALL, address, ORDER);
        high.intoMemorySegment(RawMemory.ALL, address + VECTOR, ORDER);
    }
}
