package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.speculation.SpeculationPlan;

/**
 * How plans fit into the widest verify pass. Mode {@code fixed} has passes as wide as its plan needs at a full batch; mode {@code adaptive}
 * leaves out what does not fit.
 *
 * @param rows of the widest pass
 * @param requests of a full batch
 * @param plans that mode {@code adaptive} chooses from, off not counted
 * @param leftOut how many of them need more rows at a full batch
 * @param allUpTo requests up to which all of them fit
 */
record PassRoom(int rows, int requests, int plans, int leftOut, int allUpTo) {
    /** For mode {@code adaptive}; null where every plan fits, and for other modes. */
    static PassRoom of(RunConfig.Speculation config, RolloutLimits limits) {
        if (!config.mode().equals("adaptive")) {
            return null;
        }
        List<SpeculationPlan> plans = PlanPolicies.candidates(config);
        long out = plans.stream().filter(plan -> (long) limits.maxBatch() * (plan.tokens() + 1) > limits.maxRows()).count();
        int widest = plans.stream().mapToInt(plan -> plan.tokens() + 1).max().orElse(1);
        return out == 0 ? null : new PassRoom(limits.maxRows(), limits.maxBatch(), plans.size(), (int) out, limits.maxRows() / widest);
    }

    String sentence() {
        return "speculation: a pass has " + rows + " rows; of " + plans + " plans, " + leftOut + " are left out while " + requests
            + " requests are live, none from " + allUpTo + " down";
    }

    ObjectNode toJson() {
        return JsonNodeFactory.instance.objectNode().put("pass_rows", rows).put("live_requests", requests).put("plans", plans)
            .put("left_out", leftOut).put("none_left_out_up_to", allUpTo);
    }
}
