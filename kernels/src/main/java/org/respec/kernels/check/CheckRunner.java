package org.respec.kernels.check;

import org.respec.bindings.gpu.GpuException;
import org.respec.kernels.Ops;

/** Runs checks one after another on one device, each with a bench of its own, and goes on after a failure as long as the device lives. */
public final class CheckRunner {
    /** Seed of every check's inputs where nobody asks for another. */
    public static final long SEED = 20260807;

    private final Ops truth;
    private final Ops device;
    private final long seed;
    private String death;

    /**
     * A runner that owns neither side.
     *
     * @param truth the CPU's operators
     * @param device the operators under test
     */
    public CheckRunner(Ops truth, Ops device, long seed) {
        this.truth = truth;
        this.device = device;
        this.seed = seed;
    }

    /** Runs a check; once the device is dead, says of each that it was not run. */
    public CheckResult run(OperatorCheck check) {
        if (death != null) {
            return new CheckResult(check.name(), CheckResult.Outcome.NOT_RUN, 0, 0, null);
        }
        long begin = System.nanoTime();
        double share = 0;
        RuntimeException failure = null;
        try (CheckBench bench = new CheckBench(truth, device, seed)) {
            try {
                check.body().accept(bench);
                bench.finish();
            } finally {
                share = bench.worstShare();
            }
        } catch (RuntimeException e) {
            failure = e;
            probe();
        }
        return new CheckResult(check.name(), failure == null ? CheckResult.Outcome.PASSED : CheckResult.Outcome.FAILED,
            (System.nanoTime() - begin) * 1e-9, share, failure);
    }

    /** What the device says of its death, or null while it lives. */
    public String death() {
        return death;
    }

    /** Waits for the device after a failure: to learn whether it lives, and so that no fault is left for the next check to find. */
    private void probe() {
        try {
            device.synchronize();
        } catch (GpuException e) {
            death = e.getMessage();
        } catch (IllegalStateException | IllegalArgumentException e) {
            // A fault that the failed check left behind. It is cleared now, and that check has failed already.
        }
    }
}
