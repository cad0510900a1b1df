package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;

/** What measured costs are kept under. */
class PlanPoliciesTest {
    private static final RolloutLimits LIMITS = new RolloutLimits(4, 8, 16, 16, 0, 0);

    private static String key(boolean graphs, DType dtype, RolloutLimits limits, long seed) {
        ModelConfig config = TestModels.wideConfig(64, 64);
        try (Ops ops = Backends.open("emulator", 1, graphs); Actor actor = TestModels.actor(ops, config, seed, dtype);
             Drafter drafter = TestModels.drafter(ops, TestModels.wideDrafterConfig(config), actor, seed)) {
            return PlanPolicies.key(ops, actor, drafter, limits);
        }
    }

    /** Times in bf16 are not those in f32, and those of graphs not those without. */
    @Test
    void costsOfEachTypeAndOfGraphsAreKeptApart() {
        try {
            Backends.open("emulator", 1).close();
        } catch (IllegalArgumentException e) {
            abort(e.getMessage());
        }
        Set<String> keys = new HashSet<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            for (boolean graphs : new boolean[] {true, false}) {
                keys.add(key(graphs, dtype, LIMITS, 3));
            }
        }
        assertEquals(4, keys.size(), keys.toString());
        keys.add(key(true, DType.F32, LIMITS, 4));
        assertEquals(4, keys.size(), "weights change no times: " + keys);
        keys.add(key(true, DType.F32, LIMITS.withRowsEach(100), 4));
        assertEquals(5, keys.size(), keys.toString());
    }
}
