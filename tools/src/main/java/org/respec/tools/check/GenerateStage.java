package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.nio.file.Path;
import java.util.List;
import org.respec.kernels.Ops;

/** Whole responses against the CPU's, in fp32, with speculation and graphs off and on. */
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
        Path actor = run.settings().actor();
        Path drafter = run.settings().drafter();
        if (quick) {
            TinyModel.write(run.folder(), actor);
            actor = TinyModel.actor(run.folder());
            drafter = TinyModel.drafter(run.folder());
        }
        for (boolean graphs : List.of(true, false)) {
            String suffix = ", graphs " + (graphs ? "on" : "off");
            try (Ops cpu = run.openCpu(); Ops gpu = run.open(graphs)) {
                GenerateCheck check = new GenerateCheck(cpu, gpu, actor, drafter, quick ? 2 : 8, quick ? 16 : 96);
                check.run(name -> run.wants(name + suffix), result -> {
                    rows.addObject().put("temperature", result.temperature()).put("speculation", result.speculation()).put("graphs", graphs)
                        .put("tokens", result.tokens()).put("equal", result.equal()).put("near_ties", result.nearTies())
                        .put("largest_log_prob_difference", result.largestDifference()).put("passed", result.passed())
                        .put("message", result.message());
                    run.item(GenerateCheck.name(result.temperature(), result.speculation()) + suffix, String.format(
                        "%d of %d tokens equal, %d near ties, log-probabilities within %.1e", result.equal(), result.tokens(),
                        result.nearTies(), result.largestDifference()), result.message());
                    run.checkTime();
                });
            }
        }
    }
}
