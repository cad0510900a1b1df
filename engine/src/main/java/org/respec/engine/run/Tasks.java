package org.respec.engine.run;

import org.respec.engine.model.LoadedModel;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.engine.task.ProblemSource;
import org.respec.engine.task.PromptFile;
import org.respec.engine.task.RewardFunction;
import org.respec.engine.task.Task;

/** Tasks as a config asks for them. */
public final class Tasks {
    private Tasks() {
    }

    /** The task of {@code config}; problems of the generator are a function of {@code seed}. */
    public static Task of(TaskConfig config, long seed, LoadedModel model) {
        return of(config, seed, model.tokenizer(), model.actor().config());
    }

    static Task of(TaskConfig config, long seed, TextTokenizer tokenizer, ModelConfig actor) {
        ProblemSource problems = config.prompts() == null ? arithmetic(config.arithmetic(), seed)
            : new PromptFile(config.prompts(), config.heldOut());
        return new Task(problems, RewardFunction.named(config.reward()), tokenizer, actor.eosTokenIds());
    }

    static ArithmeticProblems arithmetic(TaskConfig.Arithmetic sizes, long seed) {
        return new ArithmeticProblems(seed, sizes.minOperands(), sizes.maxOperands(), sizes.tail(), sizes.maxOperand(), sizes.maxValue());
    }
}
