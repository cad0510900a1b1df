package org.respec.engine.speculation;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.respec.engine.BadInput;
import org.respec.kernels.TreeBatch;

/**
 * How far to speculate in a step: trees of {@code depth} levels, {@code branch} expanded nodes a level with as many children each, of
 * whose candidates the best {@code tokens} are verified. The root is not counted: a request takes {@code tokens + 1} rows.
 */
public record SpeculationPlan(int depth, int branch, int tokens) {
    /** Plain decoding. */
    public static final SpeculationPlan OFF = new SpeculationPlan(0, 0, 0);

    private static final Pattern TEXT = Pattern.compile("(\\d{1,4})x(\\d{1,4})x(\\d{1,4})");

    public SpeculationPlan {
        boolean off = depth == 0 && branch == 0 && tokens == 0;
        if (!off && (depth < 1 || depth > TreeBatch.MAX_DEPTH || branch < 1 || branch > TreeBatch.MAX_BRANCH || tokens < depth
            || tokens > Math.min(TreeBatch.MAX_NODES - 1, pool(depth, branch)))) {
            throw new BadInput("speculation plan " + depth + "x" + branch + "x" + tokens + ": depth must be 1 to " + TreeBatch.MAX_DEPTH
                + ", branch 1 to " + TreeBatch.MAX_BRANCH + ", and tokens from the depth to " + (TreeBatch.MAX_NODES - 1)
                + " and to the candidates there are, branch + (depth - 1) * branch^2.");
        }
    }

    /** Candidates that a drafter names. */
    static int pool(int depth, int branch) {
        return branch + (depth - 1) * branch * branch;
    }

    /** Candidates that a drafter names for each request, if it knows so many. */
    public int candidates() {
        return pool(depth, branch);
    }

    /** Whether nothing is drafted. */
    public boolean isOff() {
        return depth == 0;
    }

    /** Reads {@code off} or {@code DEPTHxBRANCHxTOKENS}. */
    public static SpeculationPlan parse(String text) {
        if (text.equals("off")) {
            return OFF;
        }
        Matcher m = TEXT.matcher(text);
        if (!m.matches()) {
            throw new BadInput("speculation plan '" + text + "': write off, or DEPTHxBRANCHxTOKENS like 4x2x8.");
        }
        return new SpeculationPlan(Integer.parseInt(m.group(1)), Integer.parseInt(m.group(2)), Integer.parseInt(m.group(3)));
    }

    @Override
    public String toString() {
        return isOff() ? "off" : depth + "x" + branch + "x" + tokens;
    }
}
