package org.respec.tools.report;

import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.util.Locale;

/** Numbers as people read them; a dash for one that is not there. */
final class Numbers {
    static final String NONE = "–";

    private Numbers() {
    }

    /** Whole, in groups of three digits. */
    static String count(double value) {
        return format("#,##0", value);
    }

    static String decimals(double value, int digits) {
        return format("#,##0." + "0".repeat(digits), value);
    }

    /** Of a fraction. */
    static String percent(double fraction) {
        return Double.isFinite(fraction) ? format("0.0", 100 * fraction) + " %" : NONE;
    }

    /** Three digits, or all that are before the point. */
    static String speed(double value) {
        double size = Math.abs(value);
        return format(size >= 100 ? "#,##0" : size >= 10 ? "0.0" : "0.00", value);
    }

    static String times(double ratio) {
        return Double.isFinite(ratio) ? format("0.00", ratio) + " ×" : NONE;
    }

    static String seconds(double seconds) {
        if (!Double.isFinite(seconds)) {
            return NONE;
        }
        if (seconds < 1) {
            return format(seconds < 0.1 ? "0.00" : "0", 1000 * seconds) + " ms";
        }
        if (seconds < 120) {
            return format(seconds < 10 ? "0.00" : "0.0", seconds) + " s";
        }
        long whole = Math.round(seconds);
        return whole < 7200 ? whole / 60 + " min " + whole % 60 + " s" : whole / 3600 + " h " + whole % 3600 / 60 + " min";
    }

    private static String format(String pattern, double value) {
        return Double.isFinite(value) ? new DecimalFormat(pattern, DecimalFormatSymbols.getInstance(Locale.ROOT)).format(value) : NONE;
    }
}
