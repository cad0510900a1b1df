package org.respec.engine.task;

import java.util.Arrays;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.rollout.Trajectory;

/** Problems and their reward, between text and tokens. */
public final class Task {
    /** Characters of a prompt that a message shows. */
    private static final int SHOWN = 60;

    private final ProblemSource problems;
    private final RewardFunction reward;
    private final TextTokenizer tokenizer;
    private final List<Integer> endTokens;

    /** @param endTokens any of them ends a response */
    public Task(ProblemSource problems, RewardFunction reward, TextTokenizer tokenizer, List<Integer> endTokens) {
        this.problems = problems;
        this.reward = reward;
        this.tokenizer = tokenizer;
        this.endTokens = List.copyOf(endTokens);
    }

    /** Where problems come from. */
    public ProblemSource problems() {
        return problems;
    }

    /** Most tokens that a prompt has, or a few more. */
    public int maxPromptTokens() {
        return problems.mostTokens(prompt -> encode(prompt).length);
    }

    /** A prompt's tokens. */
    public int[] encode(Problem problem) {
        return encode(problem.prompt());
    }

    private int[] encode(String prompt) {
        int[] ids = tokenizer.encode(prompt);
        if (ids.length == 0) {
            throw new BadInput("task.prompts: the prompt " + shown(prompt) + " has no tokens in this tokenizer; change it.");
        }
        if (!tokenizer.knowsAll(ids)) {
            throw new BadInput("task.prompts: the prompt " + shown(prompt) + " has characters that the model's tokenizer does not know;"
                + " change it.");
        }
        return ids;
    }

    private static String shown(String prompt) {
        String line = prompt.replaceAll("\\p{Cntrl}", " ");
        return "'" + (line.length() > SHOWN ? line.substring(0, SHOWN) + "..." : line) + "'";
    }

    /** The response's text without its end-of-sequence token. */
    public String text(Trajectory trajectory) {
        int[] response = trajectory.response();
        boolean ends = response.length > 0 && endTokens.contains(response[response.length - 1]);
        return tokenizer.decode(ends ? Arrays.copyOf(response, response.length - 1) : response);
    }

    /**
     * The reward of a response; one that was cut off by the length limit earns nothing.
     *
     * @throws BadInput if the reward function gives something that is not finite, which nothing could be learnt from
     */
    public double reward(Problem problem, Trajectory trajectory) {
        if (!trajectory.ended()) {
            return 0;
        }
        double value = reward.reward(problem, text(trajectory));
        if (!Double.isFinite(value)) {
            throw new BadInput("task.reward: " + reward.getClass().getName() + " gave " + value + " for a response to "
                + shown(problem.prompt()) + "; rewards must be finite: mend it, or name another reward.");
        }
        return value;
    }
}
