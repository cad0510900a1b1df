package org.respec.engine.speculation;

/** Whether steps have become longer than the same ones were before: the first that shows of a load on the device. */
final class StepJumps {
    /** How much longer. */
    private static final double LONGER = 1.3;
    /** Long steps count one and others take a half away: one or two may have been interrupted, and a load spares some. */
    private static final double OTHER = 0.5;
    private static final double ENOUGH = 3;
    /** Where no load was found, twice as many are asked for, up to so many: on a noisy machine there always are some. */
    private static final double MOST_ENOUGH = 6;
    /** Weight of the latest step in what is usual, and of a long one: steps may stay longer for other reasons. */
    private static final double LATEST = 0.1;
    private static final double LATEST_LONG = 0.01;
    /** Kinds of steps that are remembered: the present plan and what is tried beside it, and the same with fewer requests. */
    private static final int KINDS = 16;

    private final SpeculationPlan[] plans = new SpeculationPlan[KINDS];
    private final int[] batches = new int[KINDS];
    private final double[] usual = new double[KINDS];
    private double longOnes;
    private double enough = ENOUGH;

    /** Notes a step; whether those of late are longer than was usual. */
    boolean longer(SpeculationPlan plan, int batch, long nanos) {
        int kind = (31 * plan.hashCode() + batch) & KINDS - 1;
        if (plan != plans[kind] || batch != batches[kind]) {
            plans[kind] = plan;
            batches[kind] = batch;
            usual[kind] = nanos;
            return false;
        }
        boolean longOne = nanos > LONGER * usual[kind];
        longOnes = Math.clamp(longOnes + (longOne ? 1 : -OTHER), 0, enough);
        usual[kind] += longOne ? LATEST_LONG * (LONGER - 1) * usual[kind] : LATEST * (nanos - usual[kind]);
        return longOne && longOnes >= enough;
    }

    /** No load was found. */
    void mistaken() {
        enough = Math.min(2 * enough, MOST_ENOUGH);
        longOnes = 0;
    }

    /** A load was found. */
    void right() {
        enough = ENOUGH;
    }
}
