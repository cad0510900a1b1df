package org.respec.kernels;

/**
 * How a token is drawn from logits: divide by {@code temperature}, keep the {@code topK} likeliest, of those the smallest set
 * whose probability reaches {@code topP}, draw.
 *
 * @param temperature 0 means greedy
 * @param topK 0 keeps all
 * @param topP 1 keeps all
 */
public record SamplingParams(float temperature, int topK, float topP) {
    /** The likeliest token, always. */
    public static final SamplingParams GREEDY = new SamplingParams(0f, 0, 1f);

    public SamplingParams {
        if (!(temperature >= 0f) || temperature > 100f || topK < 0 || !(topP > 0f) || topP > 1f) {
            throw new IllegalArgumentException("sampling with temperature " + temperature + " (0 to 100), top-k " + topK
                + " (0 or more), top-p " + topP + " (over 0, to 1)");
        }
    }

    /** Draws from all tokens. */
    public static SamplingParams temperature(float temperature) {
        return new SamplingParams(temperature, 0, 1f);
    }

    /** Whether tokens are left out before the draw. */
    public boolean filters() {
        return topK > 0 || topP < 1f;
    }
}
