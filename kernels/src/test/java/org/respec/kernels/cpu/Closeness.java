package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.Locale;
import org.respec.kernels.Tensor;

/** Comparisons with a tolerance that remember the worst case; closing prints which share of the tolerance was used. */
final class Closeness implements AutoCloseable {
    private final String what;
    private final long seed;
    private double worst;

    Closeness(String what, long seed) {
        this.what = what;
        this.seed = seed;
    }

    /** Fails unless {@code got} is within {@code tolerance} of {@code want}; a NaN never is. */
    void check(double want, double got, double tolerance, String where) {
        double error = Math.abs(got - want);
        if (!(error <= tolerance)) {
            fail(what + ", " + where + ": expected " + want + " within " + tolerance + ", got " + got + ", seed " + seed);
        }
        worst = Math.max(worst, error / tolerance);
    }

    /** Every element within {@code absolute + relative * |want|}. */
    void check(double[] want, Tensor got, double relative, double absolute) {
        float[] values = TestTensors.floats(got);
        if (values.length != want.length) {
            fail(what + ": expected " + want.length + " elements, got " + got + ", seed " + seed);
        }
        for (int i = 0; i < want.length; i++) {
            check(want[i], values[i], absolute + relative * Math.abs(want[i]), "row " + i / got.cols() + ", column " + i % got.cols());
        }
    }

    @Override
    public void close() {
        System.out.printf(Locale.ROOT, "%s: %.1f %% of tolerance used%n", what, 100 * worst);
    }
}
