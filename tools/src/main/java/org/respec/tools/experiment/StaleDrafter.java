package org.respec.tools.experiment;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.PretrainConfig;
import org.respec.engine.run.PretrainRun;
import org.respec.engine.run.RunConfig;
import org.respec.tools.check.KernelCompilation;

/**
 * A drafter taught by an earlier state of the bundled actor: the recipe that made both ({@code arithmetic.yaml} beside the
 * configuration), with the actor's training ended early. Beside today's actor it is what a drafter becomes that is left alone
 * while its actor learns.
 */
final class StaleDrafter {
    private final Lab lab;

    StaleDrafter(Lab lab) {
        this.lab = lab;
    }

    /** Makes it under {@code folder}, or takes what an earlier call has made there by the same recipe. */
    Path make(Path folder) {
        Path recipe = lab.config().toAbsolutePath().resolveSibling("arithmetic.yaml");
        if (!SafeFiles.exists(recipe)) {
            throw new BadInput(recipe + ": gap2 makes a stale drafter by this recipe, which is not there; use a configuration beside it.");
        }
        RunConfig.Run run = lab.config(List.of()).run();
        List<String> overrides = List.of("run.device=" + run.device(), "run.dtype=" + run.dtype(), "run.graphs=" + run.graphs(),
            "run.threads=" + run.threads(), "output.actor=" + folder.toAbsolutePath().resolve("actor"),
            "output.drafter=" + folder.toAbsolutePath().resolve("drafter"), "supervised.warmup_steps=20",
            "supervised.steps=" + lab.choose(60, 300), "supervised.batch_tokens=" + lab.choose(1024, 2048),
            "distill.rounds=" + lab.choose(4, 24), "distill.steps_per_round=" + lab.choose(12, 24));
        Path mark = folder.resolve("made-by.json");
        try {
            String now = new JsonMapper().writeValueAsString(overrides);
            if (!Files.exists(mark) || !Files.readString(mark).equals(now)) {
                new PretrainRun(PretrainConfig.read(recipe, overrides)).run(KernelCompilation.preparation(System.out), new Progress());
                Files.writeString(mark, now);
            }
        } catch (IOException e) {
            throw new BadInput(folder + ": it cannot be used (" + Reason.of(e) + "); choose another --output.", e);
        }
        return folder.resolve("drafter");
    }

    private final class Progress implements PretrainRun.Listener {
        @Override
        public void supervised(int step, int steps, double loss) {
            if (step == steps) {
                lab.log().accept(String.format(Locale.ROOT, "stale drafter: actor after %d steps, loss %.3f", steps, loss));
            }
        }

        @Override
        public void distilled(int round, int rounds, double divergence, double acceptLength, double reward) {
            if (round == rounds) {
                lab.log().accept(String.format(Locale.ROOT, "stale drafter: after %d rounds accept length %.2f on its own actor", rounds,
                    acceptLength));
            }
        }
    }
}
