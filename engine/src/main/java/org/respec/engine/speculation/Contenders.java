package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * Plans that are worth scoring for batches of a size: off, and those that came near the best when all were scored last. Scores move
 * slowly, and of hundreds of plans few ever come near it.
 */
final class Contenders {
    /** All plans are scored in the first so many decisions, while much is learnt, and in every so many of the later ones. */
    private static final int FIRST = 16;
    private static final int EVERY = 8;
    /** What share of the best score a plan must have had. */
    private static final double NEAR = 0.8;

    private final double[] scores;
    private double best;
    /** By size: the plans, how many they are, and decisions so far. */
    private final int[][] near = new int[StepCorrections.SIZES][];
    private final int[] counts = new int[StepCorrections.SIZES];
    private final int[] decisions = new int[StepCorrections.SIZES];
    private final boolean[] expired = new boolean[StepCorrections.SIZES];

    /** Of so many plans, off the first of them. */
    Contenders(int plans) {
        scores = new double[plans];
    }

    /** Begins a decision: whether all plans are to be scored in it. */
    boolean all(int size) {
        int decision = decisions[size]++;
        boolean all = expired[size] || decision < FIRST || decision % EVERY == 0;
        best = 0;
        expired[size] = false;
        return all;
    }

    /** Scores are no longer what they were: in the next decision for each size all count again. */
    void expire() {
        Arrays.fill(expired, true);
    }

    /** Nothing is known any more. */
    void forget() {
        Arrays.fill(decisions, 0);
    }

    /** How many there are. */
    int count(int size) {
        return counts[size];
    }

    /** One of them, in ascending order. */
    int plan(int size, int index) {
        return near[size][index];
    }

    /** Notes the score of a plan in a decision that scores all. */
    void note(int plan, double score) {
        scores[plan] = score;
        best = Math.max(best, score);
    }

    /** Ends a decision that scored all. */
    void end(int size) {
        if (near[size] == null) {
            near[size] = new int[scores.length];
        }
        int count = 0;
        for (int i = 0; i < scores.length; i++) {
            if (i == 0 || scores[i] >= NEAR * best) {
                near[size][count++] = i;
            }
        }
        counts[size] = count;
    }
}
