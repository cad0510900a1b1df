package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.TensorArena;

/**
 * Where a check makes its matrices, on both sides, and compares them. Inputs are seeded, outputs start poisoned, every matrix has
 * guard bands, and the largest share of a tolerance that was used is kept.
 */
public final class CheckBench implements AutoCloseable {
    private final Ops truth;
    private final Ops device;
    private final long seed;
    private final SplittableRandom random;
    private final TensorArena truthArena;
    private final TensorArena deviceArena;
    private final List<Twin> twins = new ArrayList<>();
    private double worst;
    private int comparisons;

    /**
     * @param truth the CPU's operators
     * @param device the operators under test
     */
    public CheckBench(Ops truth, Ops device, long seed) {
        this.truth = truth;
        this.device = device;
        this.seed = seed;
        this.random = new SplittableRandom(seed);
        this.truthArena = truth.arena("check truth");
        this.deviceArena = device.arena("check device");
    }

    /** The CPU's operators. */
    public Ops truth() {
        return truth;
    }

    /** The operators under test. */
    public Ops device() {
        return device;
    }

    /** For tensors of {@link #truth} alone; freed with the check. */
    public TensorArena truthArena() {
        return truthArena;
    }

    /** For tensors of {@link #device} alone; freed with the check. */
    public TensorArena deviceArena() {
        return deviceArena;
    }

    /** Seeded with the number that failures name. */
    public SplittableRandom random() {
        return random;
    }

    /** A poisoned matrix, {@code gap} elements between its rows. */
    public Twin poisoned(DType dtype, int rows, int cols, int gap) {
        Twin twin = new Twin(device, truthArena, deviceArena, dtype, rows, cols, gap);
        twins.add(twin);
        return twin;
    }

    /** Standard normal values times {@code scale}, rounded to {@code dtype}. */
    public Twin normal(DType dtype, int rows, int cols, int gap, double scale) {
        Twin twin = poisoned(dtype, rows, cols, gap);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                twin.set(r, c, scale * gaussian());
            }
        }
        twin.push();
        return twin;
    }

    /** An I32 vector. */
    public Twin ints(int... values) {
        Twin twin = poisoned(DType.I32, 1, values.length, 0);
        for (int i = 0; i < values.length; i++) {
            twin.set(0, i, values[i]);
        }
        twin.push();
        return twin;
    }

    /** {@code count} integers from 0 to under {@code bound}. */
    public Twin randomInts(int count, int bound) {
        return ints(random.ints(count, 0, bound).toArray());
    }

    /** A standard normal draw. */
    public double gaussian() {
        return Math.sqrt(-2 * Math.log(1 - random.nextDouble())) * Math.cos(2 * Math.PI * random.nextDouble());
    }

    /** Fails unless the device's first {@code rows} rows are within {@code absolute + relative * |want|} of the CPU's; NaNs never are. */
    public void compare(String what, Twin twin, int rows, double relative, double absolute) {
        compare(what, twin, rows, twin.cols(), relative, absolute);
    }

    /** The same of the first {@code cols} columns alone. */
    public void compare(String what, Twin twin, int rows, int cols, double relative, double absolute) {
        twin.pull();
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                double want = twin.want(r, c);
                double got = twin.got(r, c);
                double tolerance = absolute + relative * Math.abs(want);
                double error = Math.abs(got - want);
                if (!(error <= tolerance)) {
                    throw failure(what + ", row " + r + ", column " + c + " of " + twin.device() + ": expected " + want + " within "
                        + tolerance + ", got " + got);
                }
                if (tolerance > 0) {
                    worst = Math.max(worst, error / tolerance);
                }
            }
        }
        comparisons++;
    }

    /** Fails unless {@code got} is within {@code absolute + relative * |want|}. */
    public void near(String what, double want, double got, double relative, double absolute) {
        double tolerance = absolute + relative * Math.abs(want);
        double error = Math.abs(got - want);
        if (!(error <= tolerance)) {
            throw failure(what + ": expected " + want + " within " + tolerance + ", got " + got);
        }
        if (tolerance > 0) {
            worst = Math.max(worst, error / tolerance);
        }
        comparisons++;
    }

    /** Fails unless the first {@code rows} rows are equal. */
    public void compareExactly(String what, Twin twin, int rows) {
        twin.pull();
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < twin.cols(); c++) {
                boolean longs = twin.device().dtype() == DType.I64;
                boolean equal = longs ? twin.wantLong(r, c) == twin.gotLong(r, c) : twin.want(r, c) == twin.got(r, c);
                if (!equal) {
                    throw failure(what + ", row " + r + ", column " + c + " of " + twin.device() + ": expected "
                        + (longs ? twin.wantLong(r, c) : twin.want(r, c)) + ", got " + (longs ? twin.gotLong(r, c) : twin.got(r, c)));
                }
            }
        }
        comparisons++;
    }

    /** Fails unless rows from {@code from} on still hold what they were made with on the device: poison. */
    public void untouched(String what, Twin twin, int from) {
        twin.pull();
        for (int r = from; r < twin.rows(); r++) {
            for (int c = 0; c < twin.cols(); c++) {
                if (!Double.isNaN(twin.got(r, c))) {
                    throw failure(what + ": row " + r + ", column " + c + " of " + twin.device() + " was written past the live rows");
                }
            }
        }
    }

    /** A failure with the seed in its message. */
    public CheckFailure failure(String message) {
        return new CheckFailure(message + ", seed " + seed);
    }

    /** Fails if {@code condition} is false. */
    public void require(boolean condition, String message) {
        if (!condition) {
            throw failure(message);
        }
        comparisons++;
    }

    /** Fails if {@code action} does not throw an exception of this class: bad input must be refused before a launch. */
    public void refuses(String what, Class<? extends RuntimeException> expected, Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            require(expected.isInstance(e), what + ": expected " + expected.getSimpleName() + ", got " + e);
            return;
        }
        throw failure(what + " was accepted");
    }

    /** Fails if something was written outside a matrix, and if nothing was compared at all. */
    public void finish() {
        for (Twin twin : twins) {
            twin.pull();
            long element = twin.brokenGuard();
            if (element >= 0) {
                throw failure("element " + element + " outside of " + twin.device() + " was overwritten");
            }
        }
        if (comparisons == 0) {
            throw failure("the check compared nothing");
        }
    }

    /** The largest share of a tolerance that a comparison used. */
    public double worstShare() {
        return worst;
    }

    @Override
    public void close() {
        truthArena.close();
        deviceArena.close();
    }
}
