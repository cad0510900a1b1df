package org.respec.engine.task;

import java.util.function.ToIntFunction;

/** Problems by number: the same number is always the same problem, and held-out problems are never trained on. */
public interface ProblemSource {
    /** Problem {@code number} of training, from 0 without end. */
    Problem training(long number);

    /** Held-out problem {@code number}, from 0. */
    Problem heldOut(int number);

    /** Held-out problems there are; {@link Integer#MAX_VALUE} for no end. */
    int heldOutCount();

    /**
     * As many tokens as the longest prompt has, or a few more.
     *
     * @param tokens tells how many a text has
     */
    int mostTokens(ToIntFunction<String> tokens);
}
