package org.respec.tools.check;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.NoiseField;

/** How responses and gradients that differ from the CPU's are judged, and how long all of it may take. */
class JudgementTest {
    private static Trajectory response(int[] tokens, float... logProbs) {
        return new Trajectory(0, 0, 5, new int[] {3, 4}, tokens, logProbs, false, null);
    }

    private static GenerateCheck.Result compare(float temperature, Trajectory want, Trajectory got) {
        return GenerateCheck.compare(temperature, "off", true, List.of(want), List.of(got));
    }

    @Test
    void onlyNearTiesAreForgiven() {
        Trajectory want = response(new int[] {7, 8, 9}, -0.5f, -0.7f, -0.1f);
        GenerateCheck.Result same = compare(0, want, response(new int[] {7, 8, 9}, -0.5001f, -0.7f, -0.1f));
        assertTrue(same.passed(), same.message());
        assertEquals(3, same.equal());
        assertEquals(1e-4, same.largestDifference(), 1e-6);

        GenerateCheck.Result tie = compare(0, want, response(new int[] {7, 6, 2}, -0.5f, -0.7003f, -3f));
        assertTrue(tie.passed(), tie.message());
        assertEquals(List.of(3, 1, 1), List.of(tie.tokens(), tie.equal(), tie.nearTies()));

        assertFalse(compare(0, want, response(new int[] {7, 6, 2}, -0.5f, -0.71f, -3f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8}, -0.5f, -0.7f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8, 9}, -0.5f, -0.7f, -0.2f)).passed());
        assertFalse(compare(0, want, response(new int[] {7, 8, 9}, Float.NaN, -0.7f, -0.1f)).passed());

        // With noise it is the sum that ties: that of the token's own position, 2 prompt tokens and 1 response token on.
        float shift = NoiseField.at(77, 5, 3, 8) - NoiseField.at(77, 5, 3, 6);
        assertTrue(compare(1, want, response(new int[] {7, 6, 2}, -0.5f, -0.7f + shift, -3f)).passed());
        assertFalse(compare(1, want, response(new int[] {7, 6, 2}, -0.5f, -0.7f, -3f)).passed());
    }

    @Test
    void allStagesTogetherFitNineMinutes() {
        assertTrue(GpuCheck.mostSeconds() <= 540, GpuCheck.mostSeconds() + " s");
    }

    @Test
    void gradientsAreJudgedByTheirNorm() {
        assertEquals(0, GradientStage.error(new float[] {3, 4}, new float[] {3, 4}));
        assertEquals(0.2, GradientStage.error(new float[] {3, 4}, new float[] {3, 5}), 1e-9);
        // What should be zero everywhere, or is no number anywhere, passes no tolerance.
        assertFalse(GradientStage.error(new float[] {0, 0}, new float[] {0, 0}) <= 1);
        assertFalse(GradientStage.error(new float[] {3, 4}, new float[] {3, Float.NaN}) <= 1);
    }
}
