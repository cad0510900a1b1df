package org.respec.engine.rollout;

import java.util.List;

/** When a response ends by itself: at an end-of-sequence token or after a stop sequence. The ending tokens stay in the response. */
public final class StopRule {
    private final int[] endTokens;
    private final int[][] stopSequences;

    /**
     * @param endTokens each ends a response
     * @param stopSequences tokens that end it together; none of them empty
     */
    public StopRule(List<Integer> endTokens, List<int[]> stopSequences) {
        this.endTokens = endTokens.stream().mapToInt(Integer::intValue).toArray();
        this.stopSequences = stopSequences.stream().map(int[]::clone).toArray(int[][]::new);
        for (int[] sequence : this.stopSequences) {
            if (sequence.length == 0) {
                throw new IllegalArgumentException("a stop sequence without tokens");
            }
        }
    }

    /** Whether the response in {@code tokens[from..length)} ends with its last token. */
    boolean ends(int[] tokens, int from, int length) {
        int last = tokens[length - 1];
        for (int end : endTokens) {
            if (last == end) {
                return true;
            }
        }
        for (int[] sequence : stopSequences) {
            int start = length - sequence.length;
            if (start < from) {
                continue;
            }
            int i = 0;
            while (i < sequence.length && tokens[start + i] == sequence[i]) {
                i++;
            }
            if (i == sequence.length) {
                return true;
            }
        }
        return false;
    }
}
