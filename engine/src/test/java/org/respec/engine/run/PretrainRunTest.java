package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;
import org.respec.engine.model.LoadedModel;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** A small actor and drafter from nothing; what cannot work is known before the first step. */
class PretrainRunTest {
    @TempDir
    Path folder;

    private Path config() throws IOException {
        return Files.writeString(folder.resolve("recipe.yaml"), """
            run: {seed: 3, device: cpu, threads: 1}
            output: {actor: actor, drafter: drafter}
            task: {arithmetic: {max_operands: 3}}
            actor: {hidden_size: 16, intermediate_size: 24, num_hidden_layers: 3, num_attention_heads: 2, num_key_value_heads: 1,
                    head_dim: 8, max_position_embeddings: 128}
            supervised: {steps: 2, batch_tokens: 256}
            distill: {rounds: 1, prompts: 2, group_size: 2, max_tokens: 24, steps_per_round: 1, batch_tokens: 128, capacity_tokens: 600}
            """);
    }

    /** Runs the recipe; returns what was done. */
    private static List<String> run(Path config, String... overrides) {
        List<String> done = new ArrayList<>();
        run(PretrainConfig.read(config, List.of(overrides)),
            (ops, actor, drafter) -> done.add("prepared for " + actor.headDim() + " and " + drafter.headDim()), done);
        return done;
    }

    private static void run(PretrainConfig config, Preparation preparation, List<String> done) {
        new PretrainRun(config).run(preparation, new PretrainRun.Listener() {
            @Override
            public void supervised(int step, int steps, double loss) {
                done.add("step " + step + " of " + steps);
            }

            @Override
            public void distilled(int round, int rounds, double divergence, double acceptLength, double reward) {
                done.add("round " + round + " of " + rounds);
            }
        });
    }

    @Test
    void whatIsMadeCanBeLoaded() throws IOException {
        assertEquals(List.of("prepared for 8 and 8", "step 1 of 2", "step 2 of 2", "round 1 of 1"), run(config()));
        try (Ops ops = Backends.open("cpu", 1);
             LoadedModel model = LoadedModel.load(ops, folder.resolve("actor"), folder.resolve("drafter"))) {
            assertEquals(16, model.actor().config().hiddenSize());
            assertEquals(List.of(1, 2, 3), model.drafter().config().featureLayers());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"output.drafter=actor | output.drafter is the actor's folder too",
        "output.drafter=file | no model can be written there", "output.actor=file/actor | no model can be written there",
        "task.reward=none | there is no reward function 'none'", "supervised.steps=0 | supervised.steps must be a whole number from 1",
        "distill.max_tokens=128 | distill.max_tokens: after a prompt of ", "actor.max_position_embeddings=16 | leaves 0 tokens, not 24",
        "actor.max_position_embeddings=27 distill.max_tokens=1 | actor.max_position_embeddings: an example of "})
    void whatCannotWorkIsKnownBefore(String overrides, String message) throws IOException {
        Files.writeString(folder.resolve("file"), "no folder");
        Path config = config();
        List<String> done = new ArrayList<>();
        BadInput bad = assertThrows(BadInput.class, () -> run(PretrainConfig.read(config, List.of(overrides.split(" "))),
            Preparation.NONE, done));
        assertTrue(bad.getMessage().contains(message), bad.getMessage());
        assertEquals(1, bad.getMessage().lines().count());
        assertEquals(List.of(), done);
    }
}
