package org.respec.engine.speculation;

/**
 * When what was learnt of costs is to be dropped: first steps tell of code that is not compiled yet. What they said of plans for 16
 * requests was wrong by a quarter, and kept the best one out for dozens of rollouts. So at some times it is looked whether steps have
 * become much faster since the last time. Where they have not, the process had run before or there is nothing to compile, and to learn anew
 * would cost: in virtual time, with profiles that are 6 % wrong, 0.2 to 0.8 % of the first dozens of rollouts.
 */
final class WarmUp {
    /** Seconds of decoding after which it is looked for the first time, and again after so many times as long up to the last. */
    private static final double FIRST_SECONDS = 2;
    private static final double TIMES = 4;
    private static final double LAST_SECONDS = 32;
    /** What share of the time that steps of the first half of a stretch took those of the second half take at most if it was a warm-up. */
    private static final double FASTER = 0.8;

    private double seconds;
    private double from;
    private double to = FIRST_SECONDS;
    /** Sums of logarithms over the two halves of the present stretch, and steps. */
    private double early;
    private int earlySteps;
    private double late;
    private int lateSteps;

    /**
     * A step was taken: whether all that was known of costs is to be dropped now.
     *
     * @param stepSeconds that it took
     * @param slowness how slow the machine seems on the whole, over what a profile says
     */
    boolean ends(double stepSeconds, double slowness) {
        if (to == Double.POSITIVE_INFINITY) {
            return false;
        }
        seconds += stepSeconds;
        if (seconds < (from + to) / 2) {
            early += Math.log(slowness);
            earlySteps++;
        } else {
            late += Math.log(slowness);
            lateSteps++;
        }
        if (seconds < to) {
            return false;
        }
        boolean ended = earlySteps > 0 && late / lateSteps < early / earlySteps + Math.log(FASTER);
        from = to;
        to = to < LAST_SECONDS ? TIMES * to : Double.POSITIVE_INFINITY;
        early = 0;
        earlySteps = 0;
        late = 0;
        lateSteps = 0;
        return ended;
    }
}
