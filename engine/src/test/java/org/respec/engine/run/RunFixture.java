package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.ModelFiles;
import org.respec.engine.model.ParameterSet;
import org.respec.engine.model.TestModels;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** A folder with a tiny random actor, its drafter and a config, and runs over it. */
final class RunFixture {
    static final TrainingRun.Listener SILENT = new TrainingRun.Listener() {
    };

    private static final int VOCAB = 2 + ArithmeticProblems.CHARACTERS.length();

    private RunFixture() {
    }

    /** Writes models and {@code run.yaml} under {@code folder}; returns the config file. */
    static Path write(Path folder) throws IOException {
        ModelConfig actor = new ModelConfig(VOCAB, 24, 40, 3, 4, 2, 8, 1e-6, 10000, 160, true, List.of(1), 0);
        return write(folder, actor, TestModels.drafterConfig(actor));
    }

    /** The same with heads of 32, which GPUs take. */
    static Path writeWide(Path folder) throws IOException {
        ModelConfig actor = TestModels.wideConfig(VOCAB, 160);
        return write(folder, actor, TestModels.wideDrafterConfig(actor));
    }

    private static Path write(Path folder, ModelConfig actor, DrafterConfig drafter) throws IOException {
        try (Ops ops = Backends.open("cpu", 1);
             ParameterSet actorWeights = new ParameterSet(ops, "actor", actor.tensors());
             ParameterSet drafterWeights = new ParameterSet(ops, "drafter", drafter.tensors())) {
            TestModels.randomise(actorWeights, 1);
            TestModels.randomise(drafterWeights, 2);
            ModelFiles.write(folder.resolve("actor"), actor.toJson(), actorWeights);
            ModelFiles.write(folder.resolve("drafter"), drafter.toJson(), drafterWeights);
        }
        TextTokenizer.writeCharacterTokenizer(folder.resolve("actor/tokenizer.json"), List.of("<pad>", "<eos>"),
            ArithmeticProblems.CHARACTERS);
        Path config = folder.resolve("run.yaml");
        Files.writeString(config, """
            run: {dir: %s, seed: 5, device: cpu, threads: 2}
            model: {actor: actor, drafter: drafter}
            task:
              reward: digit-share
              arithmetic: {max_operands: 3}
            train: {iterations: 3, prompts_per_iteration: 5, group_size: 4, micro_batch_tokens: 128, learning_rate: 0.01,
                    mini_batches: 2, checkpoint_every: 1}
            rollout: {max_batch: 7, max_tokens: 24}
            speculation: {mode: fixed, plan: 2x2x4}
            distill: {steps_per_update: 2, batch_tokens: 128, capacity_tokens: 600, learning_rate: 0.01, unroll: 3, warmup_steps: 0}
            eval: {problems: 8}
            """.formatted(folder.resolve("out")));
        return config;
    }

    static ObjectNode run(Path config, boolean resume, String... overrides) {
        return run(config, resume, OnlineDrafter.Wiring.plain(), overrides);
    }

    static ObjectNode run(Path config, boolean resume, OnlineDrafter.Wiring wiring, String... overrides) {
        try (TrainingRun run = new TrainingRun(RunConfig.read(config, List.of(overrides)), resume, wiring, Preparation.NONE)) {
            return run.run(SILENT);
        }
    }
}
