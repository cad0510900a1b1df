package org.respec.engine.rollout;

/**
 * One prompt and how many responses to draw for it.
 *
 * @param prompt token ids, at least one
 * @param samples responses to draw, at least 1
 * @param firstRequestId noise-field number of the first response; the others follow. Numbers must be unique within a run.
 * @param maxTokens after so many tokens a response is cut, at least 1; where the engine's limit is less, that holds
 */
public record PromptGroup(int[] prompt, int samples, long firstRequestId, int maxTokens) {
    public PromptGroup {
        if (prompt.length == 0 || samples < 1 || maxTokens < 1) {
            throw new IllegalArgumentException("a prompt group of " + prompt.length + " tokens and " + samples + " samples of at most "
                + maxTokens + " tokens");
        }
    }

    /** With no limit but the engine's. */
    public PromptGroup(int[] prompt, int samples, long firstRequestId) {
        this(prompt, samples, firstRequestId, Integer.MAX_VALUE);
    }
}
