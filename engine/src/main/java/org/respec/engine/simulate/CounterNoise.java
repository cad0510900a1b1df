package org.respec.engine.simulate;

/** Random numbers that depend on nothing but where they are asked for: a hash of seed and two counters (SplitMix64's mixer, thrice). */
final class CounterNoise {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private CounterNoise() {
    }

    /** Uniform over [0, 1). */
    static double uniform(long seed, long a, long b) {
        return (mix(mix(mix(seed) + a) + b) >>> 11) * 0x1p-53;
    }

    /** Standard normal, by Box and Muller. */
    static double normal(long seed, long a, long b) {
        double radius = Math.sqrt(-2 * Math.log(1 - uniform(seed, a, 2 * b)));
        return radius * Math.cos(2 * Math.PI * uniform(seed, a, 2 * b + 1));
    }

    private static long mix(long value) {
        long z = value + GOLDEN;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
