package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.model.SmallModel;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.SpeculationPlan;

/** What is measured, and that it can be had of any batch and plan; no time is judged. */
class CostProbeTest {
    @ParameterizedTest
    @ValueSource(ints = {8, 150})
    void everyBatchHasWhatFits(int maxPrompt) {
        try (SmallModel model = SmallModel.open(5)) {
            CostProfile profile = new CostProfile();
            CostProbe.measure(model.ops(), model.actor(), model.drafter(), new RolloutLimits(3, maxPrompt, 1, 4, 0, 0, 30), profile);
            assertEquals(List.of(1, 2, 3), profile.overheadSamples().stream().map(CostProfile.Sample::requests).toList());
            for (int batch = 1; batch <= 3; batch++) {
                int requests = batch;
                List<Integer> rows = profile.verifySamples().stream().filter(s -> s.requests() == requests)
                    .map(s -> s.rows() / requests).toList();
                assertEquals(Stream.of(1, 2, 3, 4, 5, 6, 7, 9, 13, 17, 25, 33).filter(each -> each * requests <= 30).toList(), rows);
                neverFallingWithRows(profile.verifySamples(), batch);
                neverFallingWithRows(profile.draftSamples(), batch);
            }
            for (int batch = 1; batch <= 3; batch++) {
                for (String plan : List.of("off", "1x1x1", "6x1x6", "4x2x8", "3x3x9")) {
                    SpeculationPlan of = SpeculationPlan.parse(plan);
                    assertTrue(profile.verifySeconds(batch, of) > 0, plan);
                    assertTrue(of.isOff() || profile.draftSeconds(batch, of, 2 * batch) > 0, plan);
                }
            }
        }
    }

    /** More rows are more work, whatever else the machine was doing. */
    private static void neverFallingWithRows(List<CostProfile.Sample> samples, int batch) {
        double[] seconds = samples.stream().filter(s -> s.requests() == batch).mapToDouble(CostProfile.Sample::seconds).toArray();
        assertTrue(seconds.length > 1);
        for (int i = 1; i < seconds.length; i++) {
            assertTrue(seconds[i] >= seconds[i - 1], "batch " + batch + ": " + Arrays.toString(seconds));
        }
    }
}
