package org.respec.engine.speculation;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * A profile with nothing but each plan's tokens per second. What is near linear in the batch is the time of a step, so it is the seconds
 * per step and token gained, {@code batch / tokens_per_second}, that are interpolated (see {@link BatchCurve}); tokens per second then
 * pass through every cell exactly and lie between those of the two cells around a batch.
 *
 * <p>Under load, what a step costs above off's must be known (see {@link SharedDevice}), and speed alone does not say it. With the
 * acceptance that the cells were measured at it follows: {@code step / off = tokens * off's speed / plan's speed}. Else each verified
 * token is taken to cost 1/16 of off's step, {@code step / off = 1 + tokens / 16}, so that plans suffer in the order of their tokens.
 */
final class SpeedTable extends PlanTable {
    private static final double ASSUMED_PER_TOKEN = 1.0 / 16;

    private final Map<SpeculationPlan, TreeMap<Integer, Double>> cells;
    private final Map<SpeculationPlan, BatchCurve> perToken = new HashMap<>();
    private final ExpectedTokens expected;

    SpeedTable(Map<SpeculationPlan, TreeMap<Integer, Double>> cells, Acceptance acceptance, double extendSeconds) {
        super(cells.keySet(), acceptance, extendSeconds);
        this.cells = Map.copyOf(cells);
        cells.forEach((plan, speeds) -> {
            Map<Integer, Double> points = new HashMap<>();
            speeds.forEach((batch, speed) -> points.put(batch, batch / speed));
            perToken.put(plan, new BatchCurve(points));
        });
        expected = acceptance == null ? null : new ExpectedTokens().refresh(acceptance);
    }

    private double speed(int batch, SpeculationPlan plan) {
        TreeMap<Integer, Double> speeds = cells.get(plan);
        Map.Entry<Integer, Double> below = speeds.floorEntry(batch);
        Map.Entry<Integer, Double> above = speeds.ceilingEntry(batch);
        double speed = batch / perToken.get(plan).at(batch);
        if (below == null || above == null) {
            return speed;
        }
        // What rounding may have pushed past a cell.
        return Math.clamp(speed, Math.min(below.getValue(), above.getValue()), Math.max(below.getValue(), above.getValue()));
    }

    @Override
    double score(int batch, SpeculationPlan plan, double utilization) {
        double speed = speed(batch, plan);
        double step = expected == null ? 1 + ASSUMED_PER_TOKEN * plan.tokens()
            : expected.of(plan) * speed(batch, SpeculationPlan.OFF) / speed;
        return speed / (SharedDevice.seconds(1, step, plan.tokens(), utilization) / step);
    }

    /** Seconds of the whole step: the profile does not say which part is drafting. */
    @Override
    public double verifySeconds(int batch, SpeculationPlan plan) {
        if (expected == null) {
            throw new IllegalStateException("how long steps take cannot be told from speeds without acceptance");
        }
        return expected.of(plan) * batch / speed(batch, plan);
    }

    @Override
    public double draftSeconds(int batch, SpeculationPlan plan, int rows) {
        return 0;
    }
}
