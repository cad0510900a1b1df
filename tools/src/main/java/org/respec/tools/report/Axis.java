package org.respec.tools.report;

/**
 * An axis of a plot.
 *
 * @param label what is drawn, with its unit
 */
public record Axis(String label, Scale scale) {
    /** How values are placed and written. */
    public enum Scale {
        /** Straight, around the data. */
        LINEAR,
        /** Straight, with zero in sight. */
        FROM_ZERO,
        /** Straight, whole numbers only, around the data. */
        WHOLE,
        /** Fractions written as percent, around the data. */
        PERCENT,
        /** Fractions written as percent, from 0 % to 100 %. */
        SHARE,
        /** Powers of two at equal distances; values must be above zero. */
        LOG2
    }

    /** With {@link Scale#LINEAR}. */
    public static Axis linear(String label) {
        return new Axis(label, Scale.LINEAR);
    }

    /** With {@link Scale#FROM_ZERO}. */
    public static Axis fromZero(String label) {
        return new Axis(label, Scale.FROM_ZERO);
    }

    /** With {@link Scale#WHOLE}. */
    public static Axis whole(String label) {
        return new Axis(label, Scale.WHOLE);
    }

    /** With {@link Scale#PERCENT}. */
    public static Axis percent(String label) {
        return new Axis(label, Scale.PERCENT);
    }

    /** With {@link Scale#SHARE}. */
    public static Axis share(String label) {
        return new Axis(label, Scale.SHARE);
    }

    /** With {@link Scale#LOG2}. */
    public static Axis log2(String label) {
        return new Axis(label, Scale.LOG2);
    }
}
