package org.respec.tools.check;

import java.util.List;

/** Overrides that make a training run of a {@link TinyModel} small enough for the emulator. */
final class TinyRuns {
    private TinyRuns() {
    }

    static List<String> overrides() {
        return List.of("train.prompts_per_iteration=2", "train.group_size=2", "train.mini_batches=1", "train.micro_batch_tokens=64",
            "rollout.max_batch=4", "rollout.max_tokens=8",
            // Untrained, the model earns no reward: these move its weights nevertheless.
            "train.weight_decay=0.1", "train.kl_coefficient=0.1", "train.learning_rate=0.01",
            "speculation.mode=off", "distill.steps_per_update=1", "distill.batch_tokens=64", "distill.capacity_tokens=256",
            "distill.top_k=4", "distill.unroll=2", "eval.problems=2");
    }
}
