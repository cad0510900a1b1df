package org.respec.tools.report;

/**
 * A named line of points, drawn in the order of {@code x}. Points that are not finite are left out.
 *
 * @param low lower ends of the spread around {@code y}, or null for none
 * @param high upper ends of the spread around {@code y}, or null for none
 */
public record Series(String name, double[] x, double[] y, double[] low, double[] high) {
    public Series {
        if (x.length != y.length || (low == null) != (high == null) || low != null && (low.length != x.length || high.length != x.length)) {
            throw new IllegalArgumentException("series " + name + ": x, y, low and high must have one length");
        }
    }

    /** A line without spread. */
    public static Series of(String name, double[] x, double[] y) {
        return new Series(name, x, y, null, null);
    }
}
