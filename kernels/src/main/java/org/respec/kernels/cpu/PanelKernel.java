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
 * <li>weights in DRAM, 4 rows (two cores of a Xeon with AVX-512, 27 GB/s): 1.47 times the time of one row. A core follows one stream
 *     of addresses, the panel's, with fewer lines on their way than it could have. So kernels of three and more rows touch a panel that
 *     comes later, both its halves at once, from which the machine goes on fetching: 1.19 times; for 16 rows 1.8 in place of 2.2.
 *     One stream of touches is worse than none, four are as good as two; where weights lie in caches, touching changes nothing.
 * </ul>
 *
 * <p>Kernels of three to six rows take the address {@code ahead} of what to touch, with half a panel's bytes more of it behind it, and
 * how far to go on for each input; they return a sum of what was touched, which means nothing.
 *
 * <p>The loops call the Vector API alone, no helper of our own with vectors for arguments: where the JIT leaves such a call out of
 * line, as it did with one that stored two accumulators, every one of them is boxed (800 KB a decode step of a tiny model).
 *
 * <p>Vectors are cast to their class wherever a method is called on them and C2 cannot tell that class: where they are read, spread or
 * carried around a loop. Else it goes by the classes that it has counted in the Vector API's own methods, which all users share: where
 * nine in ten were vectors of {@link Simd}'s width, calls on wider ones stayed virtual, and every accumulator was boxed at every input
 * (4 MB a product of 2 rows by 384 inputs to 1024 outputs, in ten times the time, for the life of the process).
 */
final class PanelKernel {
    static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    /** Outputs of a panel. */
    static final int WIDTH = 2 * SPECIES.length();
    /** Most rows that one call handles. */
    static final int MAX_ROWS = 6;
    /** Half of what a panel holds for one input. */
    static final long AHEAD_BYTES = 4L * WIDTH / 2;
    /** Row strides in bytes, up to here. */
    static final long MAX_STRIDE = (1L << 40) - 1;

    /** The class of all vectors here, to which compiled code casts them at no cost. */
    static final Class<? extends FloatVector> TYPE = FloatVector.zero(SPECIES).getClass();
    private static final ByteOrder ORDER = Simd.ORDER;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    static final long VECTOR = SPECIES.vectorByteSize();
    static final long STEP = 2 * VECTOR;
    private static final long ADDRESS = Simd.ADDRESS;

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
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s0 = a.fma(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER), s0);
            s1 = a.fma(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER), s1);
            s2 = a.fma(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next, ORDER), s2);
            s3 = a.fma(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next + VECTOR, ORDER), s3);
            x += 4;
            panel += STEP;
        }
        if (accumulate) {
            s0 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s0);
            s1 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s1);
            s2 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP, ORDER)).add(s2);
            s3 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP + VECTOR, ORDER)).add(s3);
        }
        TYPE.cast(s0).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s1).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s2).intoMemorySegment(RawMemory.ALL, y + STEP, ORDER);
        TYPE.cast(s3).intoMemorySegment(RawMemory.ALL, y + STEP + VECTOR, ORDER);
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
            FloatVector a0 = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            FloatVector a1 = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            FloatVector b = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            s00 = a0.fma(b, s00);
            s10 = a1.fma(b, s10);
            b = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            s01 = a0.fma(b, s01);
            s11 = a1.fma(b, s11);
            b = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next, ORDER);
            s02 = a0.fma(b, s02);
            s12 = a1.fma(b, s12);
            b = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next + VECTOR, ORDER);
            s03 = a0.fma(b, s03);
            s13 = a1.fma(b, s13);
            x += 4;
            panel += STEP;
        }
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s02 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP, ORDER)).add(s02);
            s03 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP + VECTOR, ORDER)).add(s03);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + yStride, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + yStride + VECTOR, ORDER)).add(s11);
            s12 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + yStride + STEP, ORDER)).add(s12);
            s13 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + yStride + STEP + VECTOR, ORDER)).add(s13);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s02).intoMemorySegment(RawMemory.ALL, y + STEP, ORDER);
        TYPE.cast(s03).intoMemorySegment(RawMemory.ALL, y + STEP + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y + yStride, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y + yStride + VECTOR, ORDER);
        TYPE.cast(s12).intoMemorySegment(RawMemory.ALL, y + yStride + STEP, ORDER);
        TYPE.cast(s13).intoMemorySegment(RawMemory.ALL, y + yStride + STEP + VECTOR, ORDER);
    }

    /** Three rows by one panel. */
    static int threeRows(long x, long xStride, long panel, int inputs, long ahead, long aheadStep, long y,
        long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long end = x + inputs * 4L;
        int touched = 0;
        long half = inputs * AHEAD_BYTES & MAX_STRIDE;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            ahead &= ADDRESS;
            touched += RawMemory.ALL.get(INT, ahead) + RawMemory.ALL.get(INT, ahead + half);
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            x += 4;
            panel += STEP;
            ahead += aheadStep;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        return touched;
    }

    /** Four rows by one panel. */
    static int fourRows(long x, long xStride, long panel, int inputs, long ahead, long aheadStep, long y,
        long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s30 = s00;
        FloatVector s31 = s00;
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long row3 = 3 * xStride & MAX_STRIDE;
        long end = x + inputs * 4L;
        int touched = 0;
        long half = inputs * AHEAD_BYTES & MAX_STRIDE;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            ahead &= ADDRESS;
            touched += RawMemory.ALL.get(INT, ahead) + RawMemory.ALL.get(INT, ahead + half);
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row3)));
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            x += 4;
            panel += STEP;
            ahead += aheadStep;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        long y3 = y + 3 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
            s30 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3, ORDER)).add(s30);
            s31 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + VECTOR, ORDER)).add(s31);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        TYPE.cast(s30).intoMemorySegment(RawMemory.ALL, y3, ORDER);
        TYPE.cast(s31).intoMemorySegment(RawMemory.ALL, y3 + VECTOR, ORDER);
        return touched;
    }

    /** Five rows by one panel. */
    static int fiveRows(long x, long xStride, long panel, int inputs, long ahead, long aheadStep, long y,
        long yStride, boolean accumulate) {
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
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long row3 = 3 * xStride & MAX_STRIDE;
        long row4 = 4 * xStride & MAX_STRIDE;
        long end = x + inputs * 4L;
        int touched = 0;
        long half = inputs * AHEAD_BYTES & MAX_STRIDE;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            ahead &= ADDRESS;
            touched += RawMemory.ALL.get(INT, ahead) + RawMemory.ALL.get(INT, ahead + half);
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row3)));
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row4)));
            s40 = a.fma(b0, s40);
            s41 = a.fma(b1, s41);
            x += 4;
            panel += STEP;
            ahead += aheadStep;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        long y3 = y + 3 * yStride;
        long y4 = y + 4 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
            s30 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3, ORDER)).add(s30);
            s31 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + VECTOR, ORDER)).add(s31);
            s40 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y4, ORDER)).add(s40);
            s41 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y4 + VECTOR, ORDER)).add(s41);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        TYPE.cast(s30).intoMemorySegment(RawMemory.ALL, y3, ORDER);
        TYPE.cast(s31).intoMemorySegment(RawMemory.ALL, y3 + VECTOR, ORDER);
        TYPE.cast(s40).intoMemorySegment(RawMemory.ALL, y4, ORDER);
        TYPE.cast(s41).intoMemorySegment(RawMemory.ALL, y4 + VECTOR, ORDER);
        return touched;
    }

    /** Six rows by one panel. */
    static int sixRows(long x, long xStride, long panel, int inputs, long ahead, long aheadStep, long y,
        long yStride, boolean accumulate) {
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
        long row5 = 5 * xStride & MAX_STRIDE;
        long end = x + inputs * 4L;
        int touched = 0;
        long half = inputs * AHEAD_BYTES & MAX_STRIDE;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            ahead &= ADDRESS;
            touched += RawMemory.ALL.get(INT, ahead) + RawMemory.ALL.get(INT, ahead + half);
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row3)));
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row4)));
            s40 = a.fma(b0, s40);
            s41 = a.fma(b1, s41);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row5)));
            s50 = a.fma(b0, s50);
            s51 = a.fma(b1, s51);
            x += 4;
            panel += STEP;
            ahead += aheadStep;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        long y3 = y + 3 * yStride;
        long y4 = y + 4 * yStride;
        long y5 = y + 5 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
            s30 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3, ORDER)).add(s30);
            s31 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + VECTOR, ORDER)).add(s31);
            s40 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y4, ORDER)).add(s40);
            s41 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y4 + VECTOR, ORDER)).add(s41);
            s50 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y5, ORDER)).add(s50);
            s51 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y5 + VECTOR, ORDER)).add(s51);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        TYPE.cast(s30).intoMemorySegment(RawMemory.ALL, y3, ORDER);
        TYPE.cast(s31).intoMemorySegment(RawMemory.ALL, y3 + VECTOR, ORDER);
        TYPE.cast(s40).intoMemorySegment(RawMemory.ALL, y4, ORDER);
        TYPE.cast(s41).intoMemorySegment(RawMemory.ALL, y4 + VECTOR, ORDER);
        TYPE.cast(s50).intoMemorySegment(RawMemory.ALL, y5, ORDER);
        TYPE.cast(s51).intoMemorySegment(RawMemory.ALL, y5 + VECTOR, ORDER);
        return touched;
    }
}
