package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * When to take a plan that does not seem the best. What is not taken is not measured: costs that were wrong about it, or are no longer
 * right, would never be put right. Tries are paid from a small share of all time, by what they turn out to cost.
 */
final class Tries {
    /** Steps of one try. */
    static final int STEPS = 4;
    /** Share of all time that may go to tries, and seconds of it to begin with. */
    private static final double SHARE = 0.003;
    private static final double FIRST = 2e-3;
    /** What was not spent for long is not saved: at most as much as so many steps take. */
    private static final double SAVED_STEPS = 16;
    /** Steps after which something else is tried: seldom while off is taken, since turning on has its price. */
    private static final int OFF_EVERY = 500;
    private static final int ON_EVERY = 64;
    /** Tries of plans that stay in vain become this many times rarer, by doubling. */
    private static final int RAREST = 16;
    /** Steps that are soon after the start. */
    private static final int SOON = 16;

    /** By size of the batch: steps with off taken, or plans, since the last try, and how many times the period of off is longer. */
    private final int[] sinceWhileOff = new int[StepCorrections.SIZES];
    private final int[] sinceWhileOn = new int[StepCorrections.SIZES];
    private final int[] rarer = new int[StepCorrections.SIZES];
    /** Whether the next try in place of a plan is one of off. */
    private boolean offNext = true;
    private double seconds = FIRST;
    private int tried = -1;
    private double secondsPerToken;

    Tries() {
        Arrays.fill(sinceWhileOff, OFF_EVERY - SOON);
        Arrays.fill(sinceWhileOn, ON_EVERY - SOON);
        Arrays.fill(rarer, 1);
    }

    /** The plan that is tried now, or -1. */
    int tried() {
        return tried;
    }

    /** Whether a try in place of off, or of a plan, is due and can be paid, being sure to cost {@code price} seconds at once. */
    boolean due(int batch, boolean off, double price) {
        int size = StepCorrections.size(batch);
        boolean due = off ? sinceWhileOff[size] >= OFF_EVERY * rarer[size] : sinceWhileOn[size] >= ON_EVERY;
        return due && seconds >= price;
    }

    /** Whether off, rather than another plan, is to be tried in place of a plan. */
    boolean offNext() {
        return offNext;
    }

    /** Begins a try in place of a plan that takes so many seconds per token. */
    void begin(int batch, int plan, double secondsPerToken) {
        int size = StepCorrections.size(batch);
        sinceWhileOff[size] = 0;
        sinceWhileOn[size] = 0;
        offNext = plan != 0;
        tried = plan;
        this.secondsPerToken = secondsPerToken;
    }

    /**
     * Ends a try, if there is one.
     *
     * @param fromOff whether it was in place of off
     * @param vain whether the plan would still not be taken
     */
    void end(int batch, boolean fromOff, boolean vain) {
        if (fromOff) {
            int size = StepCorrections.size(batch);
            rarer[size] = vain ? Math.min(RAREST, 2 * rarer[size]) : 1;
        }
        tried = -1;
    }

    /** A step of what is taken, no try, is about to be made. */
    void step(int batch, boolean off) {
        (off ? sinceWhileOff : sinceWhileOn)[StepCorrections.size(batch)]++;
    }

    /** What a step took and gained. */
    void observe(int plan, double stepSeconds, int tokens) {
        seconds = Math.min(seconds + SHARE * stepSeconds, Math.max(FIRST, SAVED_STEPS * stepSeconds));
        if (plan == tried) {
            seconds -= stepSeconds - tokens * secondsPerToken;
        }
    }
}
