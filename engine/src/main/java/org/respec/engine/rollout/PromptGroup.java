package org.respec.engine.rollout;

/**
 * One prompt and how many responses to draw for it.
 *
 * @param prompt token ids, at least one
 * @param samples responses to draw, at least 1
 * @param firstRequestId noise-field number of the first response; the others follow. Numbers must be unique within a run.
 */
public record PromptGroup(int[] prompt, int samples, long firstRequestId) {
    public PromptGroup {
        if (prompt.length == 0 || samples < 1) {
            throw new IllegalArgumentException("a prompt group of " + prompt.length + " tokens and " + samples + " samples");
        }
    }
}
