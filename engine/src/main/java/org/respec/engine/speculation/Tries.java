package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * When to take a plan that does not seem the best. What is not taken is not measured: costs that were wrong about it, or are no longer
 * right, would never be put right. Tries are paid from a small share of all time, by what they turn out to cost.
 */
final class Tries {
    /** What is tried, and in place of what. */
    enum Kind {
        /** Off in place of a plan: cheap, and the measure of all plans. */
        OFF(64, 0.0015),
        /** Another plan in place of a plan. */
        OTHER(64, 0.002),
        /** A plan in place of off, which costs turning on. */
        ON(128, 0.002);

        /** Steps after which it is due. */
        private final int every;
        /** Share of all time that may go to it. */
        private final double share;

        Kind(int every, double share) {
            this.every = every;
            this.share = share;
        }
    }

    /** Steps of one try. */
    static final int STEPS = 4;
    /** A try in place of off is of use only if as many steps of off are still to come. */
    static final int WORTH_STEPS = 32;
    /**
     * What was not spent for long is not saved: there is at most as much as so many steps take, and to begin with that. Nor is more owed,
     * since first steps may take hundreds of times as long while code is compiled.
     */
    private static final double SAVED_STEPS = 8;
    /** What turned out otherwise than was thought, by more than this share, is tried again soon: after so many steps. */
    private static final double SURPRISE = 0.1;
    private static final int SOON = 16;

    /** By kind and size of the batch: steps in which it could have been tried since it was. */
    private final int[][] since = new int[Kind.values().length][StepCorrections.SIZES];
    /** Seconds that may be spent on each kind. */
    private final double[] seconds = new double[Kind.values().length];
    private Kind kind = Kind.OFF;
    private int tried = -1;
    private double secondsPerToken;
    private double score;

    Tries() {
        for (Kind each : Kind.values()) {
            Arrays.fill(since[each.ordinal()], each.every - SOON);
        }
        Arrays.fill(seconds, Double.POSITIVE_INFINITY);
    }

    /** The plan that is tried now, or -1. */
    int tried() {
        return tried;
    }

    /** Whether a try is due, and can be paid if it costs {@code price} seconds. */
    boolean due(Kind kind, int batch, double price) {
        int size = StepCorrections.size(batch);
        return since[kind.ordinal()][size] >= kind.every && seconds[kind.ordinal()] >= price;
    }

    /** Nothing is worth a try of a kind that is due: there may be something again after half of the steps. */
    void none(Kind kind, int batch) {
        since[kind.ordinal()][StepCorrections.size(batch)] = kind.every / 2;
    }

    /**
     * Begins a try.
     *
     * @param score tokens per second that are expected of the plan
     * @param takenScore tokens per second of the plan that it takes the place of
     */
    void begin(Kind kind, int plan, double score, double takenScore) {
        this.kind = kind;
        this.score = score;
        secondsPerToken = 1 / takenScore;
        tried = plan;
    }

    /**
     * Ends the try.
     *
     * @param score tokens per second that are expected of the plan now
     */
    void end(int batch, double score) {
        boolean surprise = Math.abs(score / this.score - 1) > SURPRISE;
        since[kind.ordinal()][StepCorrections.size(batch)] = surprise ? kind.every - SOON : 0;
        tried = -1;
    }

    /** So many steps of what is taken, no try, were made. */
    void pass(int batch, boolean off, int steps) {
        int size = StepCorrections.size(batch);
        if (off) {
            since[Kind.ON.ordinal()][size] += steps;
        } else {
            since[Kind.OFF.ordinal()][size] += steps;
            since[Kind.OTHER.ordinal()][size] += steps;
        }
    }

    /** What a step took and gained. */
    void observe(int plan, double stepSeconds, int tokens) {
        for (Kind each : Kind.values()) {
            int i = each.ordinal();
            seconds[i] = Math.min(seconds[i] + each.share * stepSeconds, SAVED_STEPS * stepSeconds);
        }
        if (plan == tried) {
            double left = seconds[kind.ordinal()] - (stepSeconds - tokens * secondsPerToken);
            seconds[kind.ordinal()] = Math.max(left, -SAVED_STEPS * tokens * secondsPerToken);
        }
    }
}
