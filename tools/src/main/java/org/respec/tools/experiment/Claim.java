package org.respec.tools.experiment;

import java.util.Locale;

/**
 * What an experiment is to show, with what was measured for it.
 *
 * @param claim what is said to be so, in words
 * @param value what was measured
 * @param bar what the claim asks for
 * @param holds whether it was reached
 */
public record Claim(String claim, double value, double bar, boolean holds) {
    static Claim atLeast(String claim, double value, double bar) {
        return new Claim(claim, value, bar, value >= bar);
    }

    static Claim atMost(String claim, double value, double bar) {
        return new Claim(claim, value, bar, value <= bar);
    }

    String sentence() {
        return String.format(Locale.ROOT, "%s: %.3f (bar %.3f): %s", claim, value, bar, holds ? "holds" : "does NOT hold");
    }
}
