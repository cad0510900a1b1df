package org.respec.kernels.cpu;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.respec.bindings.memory.RawMemory;

/**
 * {@link PanelKernel} for machines with vectors of 512 bits, whose 32 registers hold the sums of some rows by two neighbouring panels. The
 * chains are the same, and so are the bits.
 *
 * <p>A turn of the loop takes some two cycles more than its fmas, and one more to touch what comes later. So sixteen fmas a turn, four rows
 * by two panels, reach 154 GFLOP/s where twelve, six rows by one panel, reach 140, and 121 with touching (Intel Xeon, one core, out of L1,
 * peak 185). Two turns at once add 3 %. Five rows reach 152, but have more values than C1 can number (10000): in some processes they stayed
 * in its hands, their vectors boxed. Twelve rows by one panel do not fit C2's registers (26), nor do six by two (112).
 */
final class WidePanelKernel {
    /** Whether this machine has such vectors. */
    static final boolean HERE = PanelKernel.SPECIES.length() == 16;
    /** Most rows that one call handles. */
    static final int MAX_ROWS = 4;

    private static final VectorSpecies<Float> SPECIES = PanelKernel.SPECIES;
    private static final Class<? extends FloatVector> TYPE = PanelKernel.TYPE;
    private static final ByteOrder ORDER = Simd.ORDER;
    private static final ValueLayout.OfFloat FLOAT = PanelKernel.FLOAT;
    private static final long VECTOR = PanelKernel.VECTOR;
    private static final long STEP = PanelKernel.STEP;
    private static final long ADDRESS = Simd.ADDRESS;
    private static final long MAX_STRIDE = PanelKernel.MAX_STRIDE;

    private WidePanelKernel() {
    }

    /** Three rows. */
    static void threeRows(long x, long xStride, long panel, int inputs, long y, long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s22 = s00;
        FloatVector s23 = s00;
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long next = (inputs * STEP) & MAX_STRIDE;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector b2 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next, ORDER);
            FloatVector b3 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            s02 = a.fma(b2, s02);
            s03 = a.fma(b3, s03);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            s12 = a.fma(b2, s12);
            s13 = a.fma(b3, s13);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            s22 = a.fma(b2, s22);
            s23 = a.fma(b3, s23);
            x += 4;
            panel += STEP;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s02 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP, ORDER)).add(s02);
            s03 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP + VECTOR, ORDER)).add(s03);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s12 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + STEP, ORDER)).add(s12);
            s13 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + STEP + VECTOR, ORDER)).add(s13);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
            s22 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + STEP, ORDER)).add(s22);
            s23 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + STEP + VECTOR, ORDER)).add(s23);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s02).intoMemorySegment(RawMemory.ALL, y + STEP, ORDER);
        TYPE.cast(s03).intoMemorySegment(RawMemory.ALL, y + STEP + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s12).intoMemorySegment(RawMemory.ALL, y1 + STEP, ORDER);
        TYPE.cast(s13).intoMemorySegment(RawMemory.ALL, y1 + STEP + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        TYPE.cast(s22).intoMemorySegment(RawMemory.ALL, y2 + STEP, ORDER);
        TYPE.cast(s23).intoMemorySegment(RawMemory.ALL, y2 + STEP + VECTOR, ORDER);
    }

    /** Four rows. */
    static void fourRows(long x, long xStride, long panel, int inputs, long y, long yStride, boolean accumulate) {
        FloatVector s00 = FloatVector.zero(SPECIES);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s22 = s00;
        FloatVector s23 = s00;
        FloatVector s30 = s00;
        FloatVector s31 = s00;
        FloatVector s32 = s00;
        FloatVector s33 = s00;
        long row1 = xStride & MAX_STRIDE;
        long row2 = 2 * xStride & MAX_STRIDE;
        long row3 = 3 * xStride & MAX_STRIDE;
        long next = (inputs * STEP) & MAX_STRIDE;
        long end = x + inputs * 4L;
        while (x != end) {
            x &= ADDRESS;
            panel &= ADDRESS;
            FloatVector b0 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel, ORDER);
            FloatVector b1 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + VECTOR, ORDER);
            FloatVector b2 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next, ORDER);
            FloatVector b3 = FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, panel + next + VECTOR, ORDER);
            FloatVector a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x)));
            s00 = a.fma(b0, s00);
            s01 = a.fma(b1, s01);
            s02 = a.fma(b2, s02);
            s03 = a.fma(b3, s03);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row1)));
            s10 = a.fma(b0, s10);
            s11 = a.fma(b1, s11);
            s12 = a.fma(b2, s12);
            s13 = a.fma(b3, s13);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row2)));
            s20 = a.fma(b0, s20);
            s21 = a.fma(b1, s21);
            s22 = a.fma(b2, s22);
            s23 = a.fma(b3, s23);
            a = TYPE.cast(FloatVector.broadcast(SPECIES, RawMemory.ALL.get(FLOAT, x + row3)));
            s30 = a.fma(b0, s30);
            s31 = a.fma(b1, s31);
            s32 = a.fma(b2, s32);
            s33 = a.fma(b3, s33);
            x += 4;
            panel += STEP;
        }
        long y1 = y + yStride;
        long y2 = y + 2 * yStride;
        long y3 = y + 3 * yStride;
        if (accumulate) {
            s00 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y, ORDER)).add(s00);
            s01 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + VECTOR, ORDER)).add(s01);
            s02 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP, ORDER)).add(s02);
            s03 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y + STEP + VECTOR, ORDER)).add(s03);
            s10 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1, ORDER)).add(s10);
            s11 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + VECTOR, ORDER)).add(s11);
            s12 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + STEP, ORDER)).add(s12);
            s13 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y1 + STEP + VECTOR, ORDER)).add(s13);
            s20 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2, ORDER)).add(s20);
            s21 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + VECTOR, ORDER)).add(s21);
            s22 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + STEP, ORDER)).add(s22);
            s23 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y2 + STEP + VECTOR, ORDER)).add(s23);
            s30 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3, ORDER)).add(s30);
            s31 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + VECTOR, ORDER)).add(s31);
            s32 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + STEP, ORDER)).add(s32);
            s33 = TYPE.cast(FloatVector.fromMemorySegment(SPECIES, RawMemory.ALL, y3 + STEP + VECTOR, ORDER)).add(s33);
        }
        TYPE.cast(s00).intoMemorySegment(RawMemory.ALL, y, ORDER);
        TYPE.cast(s01).intoMemorySegment(RawMemory.ALL, y + VECTOR, ORDER);
        TYPE.cast(s02).intoMemorySegment(RawMemory.ALL, y + STEP, ORDER);
        TYPE.cast(s03).intoMemorySegment(RawMemory.ALL, y + STEP + VECTOR, ORDER);
        TYPE.cast(s10).intoMemorySegment(RawMemory.ALL, y1, ORDER);
        TYPE.cast(s11).intoMemorySegment(RawMemory.ALL, y1 + VECTOR, ORDER);
        TYPE.cast(s12).intoMemorySegment(RawMemory.ALL, y1 + STEP, ORDER);
        TYPE.cast(s13).intoMemorySegment(RawMemory.ALL, y1 + STEP + VECTOR, ORDER);
        TYPE.cast(s20).intoMemorySegment(RawMemory.ALL, y2, ORDER);
        TYPE.cast(s21).intoMemorySegment(RawMemory.ALL, y2 + VECTOR, ORDER);
        TYPE.cast(s22).intoMemorySegment(RawMemory.ALL, y2 + STEP, ORDER);
        TYPE.cast(s23).intoMemorySegment(RawMemory.ALL, y2 + STEP + VECTOR, ORDER);
        TYPE.cast(s30).intoMemorySegment(RawMemory.ALL, y3, ORDER);
        TYPE.cast(s31).intoMemorySegment(RawMemory.ALL, y3 + VECTOR, ORDER);
        TYPE.cast(s32).intoMemorySegment(RawMemory.ALL, y3 + STEP, ORDER);
        TYPE.cast(s33).intoMemorySegment(RawMemory.ALL, y3 + STEP + VECTOR, ORDER);
    }
}
