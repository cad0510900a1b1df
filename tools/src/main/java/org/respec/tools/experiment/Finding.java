package org.respec.tools.experiment;

import java.util.Locale;

/**
 * A claim with what was measured for it.
 *
 * @param value what was measured
 * @param bar what the claim asks for
 * @param holds whether it was reached
 */
public record Finding(String claim, double value, double bar, boolean holds) {
    static Finding atLeast(String claim, double value, double bar) {
        return new Finding(claim, value, bar, value >= bar);
    }

    static Finding atMost(String claim, double value, double bar) {
        return new Finding(claim, value, bar, value <= bar);
    }

    String sentence() {
        return String.format(Locale.ROOT, "%s: %.3f (bar %.3f): %s", claim, value, bar, holds ? "holds" : "does NOT hold");
    }
}
