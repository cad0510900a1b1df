package org.respec.tools.report;

import java.awt.Color;

/**
 * Colours of plots. Series colours are those of Okabe and Ito, which people with any colour vision tell apart; the colours of heat
 * fields run from dark blue to yellow with even lightness steps, for the same reason.
 */
final class Palette {
    static final Color TEXT = new Color(0x24, 0x29, 0x2f);
    static final Color MUTED = new Color(0x5b, 0x62, 0x6b);
    static final Color GRID = new Color(0xdd, 0xe1, 0xe6);
    static final Color BACKGROUND = Color.WHITE;
    /** Speculation off, wherever plans are compared. */
    static final Color OFF = new Color(0x8c, 0x93, 0x9b);
    static final Color REST = new Color(0xbf, 0xc5, 0xcb);

    private static final Color[] SERIES = {
        new Color(0x00, 0x72, 0xb2), new Color(0xd5, 0x5e, 0x00), new Color(0x00, 0x9e, 0x73), new Color(0xcc, 0x79, 0xa7),
        new Color(0xe6, 0x9f, 0x00), new Color(0x56, 0xb4, 0xe9), new Color(0x6a, 0x51, 0xa3), new Color(0xb8, 0xa9, 0x00)};
    /** The same on a dark page. */
    private static final Color[] DARK_SERIES = {
        new Color(0x4a, 0xa8, 0xe0), new Color(0xf0, 0x7f, 0x2c), new Color(0x2c, 0xc4, 0x98), new Color(0xe0, 0x94, 0xbf),
        new Color(0xf2, 0xb6, 0x36), new Color(0x7c, 0xc8, 0xf2), new Color(0xa0, 0x8a, 0xd8), new Color(0xd8, 0xc9, 0x3a)};

    private static final Color[] HEAT = {
        new Color(0x00, 0x22, 0x4e), new Color(0x34, 0x45, 0x6c), new Color(0x66, 0x69, 0x70), new Color(0x94, 0x8e, 0x77),
        new Color(0xc8, 0xb8, 0x66), new Color(0xfe, 0xe8, 0x38)};

    /** A role that a colour plays: what it is on a light and on a dark page, and the name of its CSS variable. */
    record Role(String variable, Color light, Color dark) {
    }

    private Palette() {
    }

    /** The colour of the layer or series of that name at that place. */
    static Color of(String name, int index) {
        return switch (name) {
            case "off" -> OFF;
            case "other" -> REST;
            default -> SERIES[index % SERIES.length];
        };
    }

    /** How many series have a colour of their own. */
    static int size() {
        return SERIES.length;
    }

    /** Colour of {@code share} of the way, 0 to 1. */
    static Color heat(double share) {
        double at = Math.max(0, Math.min(1, share)) * (HEAT.length - 1);
        int low = Math.min((int) at, HEAT.length - 2);
        double part = at - low;
        Color a = HEAT[low];
        Color b = HEAT[low + 1];
        return new Color(mix(a.getRed(), b.getRed(), part), mix(a.getGreen(), b.getGreen(), part), mix(a.getBlue(), b.getBlue(), part));
    }

    private static int mix(int a, int b, double part) {
        return (int) Math.round(a + part * (b - a));
    }

    /** Colours that a page may replace when it is dark. */
    static java.util.List<Role> roles() {
        java.util.List<Role> roles = new java.util.ArrayList<>();
        roles.add(new Role("--plot-text", TEXT, new Color(0xe4, 0xe8, 0xec)));
        roles.add(new Role("--plot-muted", MUTED, new Color(0xa3, 0xab, 0xb5)));
        roles.add(new Role("--plot-grid", GRID, new Color(0x3a, 0x41, 0x4a)));
        roles.add(new Role("--plot-off", OFF, new Color(0x8c, 0x93, 0x9b)));
        roles.add(new Role("--plot-rest", REST, new Color(0x5b, 0x62, 0x6b)));
        for (int i = 0; i < SERIES.length; i++) {
            roles.add(new Role("--plot-" + (i + 1), SERIES[i], DARK_SERIES[i]));
        }
        return roles;
    }
}
