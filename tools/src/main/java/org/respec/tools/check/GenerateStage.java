package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.Locale;
import org.respec.kernels.Ops;
import org.respec.kernels.gpu.GpuOps;

/** Whole responses against the CPU's, in fp32, with speculation and graphs off and on; graphs must not change a bit. */
final class GenerateStage implements CheckStage {
    @Override
    public String name() {
        return "generate";
    }

    @Override
    public int seconds() {
        return 45;
    }

    @Override
    public void run(StageRun run) {
        ArrayNode rows = run.json().putArray("rows");
        boolean quick = run.settings().quick();
        ModelFolders models = run.models();
        try (Ops cpu = run.openCpu(); GpuOps gpu = run.open()) {
            new GenerateCheck(cpu, gpu, models.actor(), models.drafter(), quick ? 2 : 8, quick ? 16 : 96).run(run::wants, result -> {
                rows.addObject().put("temperature", result.temperature()).put("speculation", result.speculation())
                    .put("graphs", result.graphs()).put("tokens", result.tokens()).put("equal", result.equal())
                    .put("near_ties", result.nearTies()).put("largest_log_prob_difference", result.largestDifference())
                    .put("passed", result.passed()).put("message", result.message());
                run.item(result.name(), String.format(Locale.ROOT, "%d of %d tokens equal, %d near ties, log-probabilities within %.1e",
                    result.equal(), result.tokens(), result.nearTies(), result.largestDifference()), result.message());
                run.checkTime();
            });
        }
    }
}
