package org.respec.engine.rollout;

/**
 * A prompt with one response.
 *
 * @param group index of the prompt in the rollout
 * @param sample index of the response in its group
 * @param requestId number in the noise field
 * @param response token ids, the end-of-sequence token included if it was drawn
 * @param logProbs log-probability of each response token under the sampling distribution
 * @param ended whether the response ended by itself (end-of-sequence or stop sequence), not by the length limit
 * @param capture by-products of verification, or null if they were not asked for
 * @param speculativeSteps steps that drafted for this response
 * @param speculativeTokens its tokens gained in those steps
 */
public record Trajectory(int group, int sample, long requestId, int[] prompt, int[] response, float[] logProbs, boolean ended,
                         CapturedRows capture, int speculativeSteps, int speculativeTokens) {
    /** A trajectory that was drawn without speculation. */
    public Trajectory(int group, int sample, long requestId, int[] prompt, int[] response, float[] logProbs, boolean ended,
                      CapturedRows capture) {
        this(group, sample, requestId, prompt, response, logProbs, ended, capture, 0, 0);
    }

    /** The same, whose captured rows are no longer kept. */
    Trajectory withoutRows() {
        return capture == null ? this : new Trajectory(group, sample, requestId, prompt, response, logProbs, ended,
            CapturedRows.dropped(capture.rows(), capture.firstTaught()), speculativeSteps, speculativeTokens);
    }

    /** Tokens of prompt and response. */
    public int length() {
        return prompt.length + response.length;
    }

    /** Token at a position of prompt followed by response. */
    public int token(int position) {
        return position < prompt.length ? prompt[position] : response[position - prompt.length];
    }
}
