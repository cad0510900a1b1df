package org.respec.engine.speculation;

/** How likely responses are to go on. */
@FunctionalInterface
public interface Survival {
    /**
     * The chance that a response which has not ended has more than {@code ahead} tokens to go; NaN before anything is known.
     *
     * @param drawn tokens that it has
     * @param scale how much longer responses to its prompt are than all
     */
    double share(int drawn, double ahead, double scale);
}
