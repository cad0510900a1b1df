package org.respec.engine.sampling;

import org.respec.kernels.NoiseField;

/** Counter-based coins: a function of seed, stream and how many were asked for. */
public final class CounterCoins implements Coins {
    private final long seed;
    private final long stream;
    private long next;

    /** @param stream coins of one seed and different streams have nothing to do with each other */
    public CounterCoins(long seed, long stream) {
        this.seed = seed;
        this.stream = stream;
    }

    private double unit() {
        return (NoiseField.bits(seed, stream, next++) >>> 11) * 0x1p-53;
    }

    @Override
    public boolean accept(double chance) {
        // Strict, so that chance 0 never comes true.
        return unit() < chance;
    }

    @Override
    public int draw(double[] weights) {
        double sum = 0;
        int last = -1;
        for (int x = 0; x < weights.length; x++) {
            sum += weights[x];
            last = weights[x] > 0 ? x : last;
        }
        if (last < 0) {
            throw new IllegalArgumentException("a draw from weights that are all 0");
        }
        double at = unit() * sum;
        for (int x = 0; x < last; x++) {
            at -= weights[x];
            if (at < 0) {
                return x;
            }
        }
        return last;
    }

    @Override
    public void gumbels(float[] noise) {
        for (int x = 0; x < noise.length; x += 2) {
            long bits = NoiseField.bits(seed, stream, next++);
            noise[x] = NoiseField.gumbel((int) bits);
            if (x + 1 < noise.length) {
                noise[x + 1] = NoiseField.gumbel((int) (bits >>> 32));
            }
        }
    }
}
