package org.respec.tools.experiment;

import java.util.Arrays;
import java.util.function.IntConsumer;
import org.respec.engine.rollout.ForwardingPolicy;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.speculation.UtilizationProbe;

/** Keeps what a policy chose and gained, step by step. */
final class PlanRecorder extends ForwardingPolicy {
    private final UtilizationProbe probe;
    private final IntConsumer beforeStep;
    private int[] depths = new int[1 << 16];
    private long[] nanos = new long[1 << 16];
    private int[] tokens = new int[1 << 16];
    private double[] shares = new double[1 << 16];
    private int steps;

    /**
     * @param probe what others use of the device is asked of it, whether the policy watches them or not; closed by this
     * @param beforeStep called on the decode thread before each choice, with the number of steps before it
     */
    PlanRecorder(PlanPolicy policy, UtilizationProbe probe, IntConsumer beforeStep) {
        super(policy);
        this.probe = probe;
        this.beforeStep = beforeStep;
    }

    @Override
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        beforeStep.accept(steps);
        SpeculationPlan plan = super.choose(batch, missedRows, remainingTokens);
        if (steps == depths.length) {
            depths = Arrays.copyOf(depths, 2 * steps);
            nanos = Arrays.copyOf(nanos, 2 * steps);
            tokens = Arrays.copyOf(tokens, 2 * steps);
            shares = Arrays.copyOf(shares, 2 * steps);
        }
        shares[steps] = probe.getAsDouble();
        depths[steps] = plan.isOff() ? 0 : plan.depth();
        nanos[steps++] = System.nanoTime();
        return plan;
    }

    @Override
    public void observeStep(SpeculationPlan plan, int batch, int rows, int gained, long draftNanos, long verifyNanos) {
        tokens[steps - 1] = gained;
        probe.decoded(plan, batch, draftNanos + verifyNanos);
        super.observeStep(plan, batch, rows, gained, draftNanos, verifyNanos);
    }

    @Override
    public void close() {
        probe.close();
        super.close();
    }

    /** Depth of each step's plan, 0 for off. */
    int[] depths() {
        return Arrays.copyOf(depths, steps);
    }

    /** When each step was decided on. */
    long[] nanos() {
        return Arrays.copyOf(nanos, steps);
    }

    /** Tokens that each step gained. */
    int[] tokens() {
        return Arrays.copyOf(tokens, steps);
    }

    /** What others were seen to use of the device at each step, 0 to 1. */
    double[] shares() {
        return Arrays.copyOf(shares, steps);
    }
}
