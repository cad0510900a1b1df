package org.respec.engine.speculation;

/**
 * What a step costs on a device that others use too.
 *
 * <p>Plain decoding reads every weight for a few rows: it waits for memory and leaves most of the arithmetic idle. Speculation lives on
 * that idle part, and whoever else uses the device takes it away. So everything a step costs above off's, drafting and the verification
 * of more rows, is <em>extra</em>, and where others have the share {@code u} of the device it takes {@code 1 / (1 - u)} times as long:
 *
 * <pre>{@code
 * seconds(u) = off + extra / (1 - u),   extra = step - off
 * }</pre>
 *
 * <p>Off itself is left as it is: others slow it too, by a factor that all plans share and that changes no choice. It follows that the
 * more a plan costs above off the more it suffers, that the chosen plan's expected tokens never rise with {@code u}, and that towards
 * {@code u = 1} off wins. Where a profile has a step with more rows for no dearer than off's, its extra is not nothing: the arithmetic
 * was merely hidden, so at least 1/256 of off's step is counted for each more token (near the rows at which today's devices begin to
 * be bound by arithmetic); without load, that changes nothing.
 */
final class SharedDevice {
    private static final double LEAST_PER_TOKEN = 1.0 / 256;

    private SharedDevice() {
    }

    /**
     * Seconds of a step under load.
     *
     * @param off seconds of off's step on the device alone
     * @param step seconds of the step on the device alone
     * @param tokens tokens it verifies per request beside the root: 0 for off
     * @param utilization share of the device that others use, 0 to 1
     */
    static double seconds(double off, double step, int tokens, double utilization) {
        if (tokens == 0 || utilization == 0) {
            return step;
        }
        if (utilization >= 1) {
            return Double.POSITIVE_INFINITY;
        }
        double extra = Math.max(step - off, off * tokens * LEAST_PER_TOKEN);
        return step + extra * (utilization / (1 - utilization));
    }
}
