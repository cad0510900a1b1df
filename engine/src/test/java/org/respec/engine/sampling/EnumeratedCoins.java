package org.respec.engine.sampling;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** Runs something once for every way that its coins can fall, with the probability of each way. */
final class EnumeratedCoins implements Coins {
    private final List<int[]> options = new ArrayList<>();
    private final List<Integer> chosen = new ArrayList<>();
    private int at;
    private double probability;

    /** Calls {@code body} for every way; it adds to its sums with {@link #probability} after its last coin. */
    static void all(Consumer<EnumeratedCoins> body) {
        EnumeratedCoins coins = new EnumeratedCoins();
        do {
            coins.at = 0;
            coins.probability = 1;
            body.accept(coins);
        } while (coins.advance());
    }

    private boolean advance() {
        while (!chosen.isEmpty()) {
            int last = chosen.size() - 1;
            if (chosen.get(last) + 1 < options.get(last).length) {
                chosen.set(last, chosen.get(last) + 1);
                return true;
            }
            chosen.remove(last);
            options.remove(last);
        }
        return false;
    }

    double probability() {
        return probability;
    }

    private int choose(double[] weights) {
        if (at == chosen.size()) {
            options.add(IntStream.range(0, weights.length).filter(i -> weights[i] > 0).toArray());
            chosen.add(0);
        }
        int choice = options.get(at)[chosen.get(at)];
        at++;
        probability *= weights[choice] / Distributions.sum(weights);
        return choice;
    }

    @Override
    public boolean accept(double chance) {
        double bounded = Math.clamp(chance, 0, 1);
        return choose(new double[] {1 - bounded, bounded}) == 1;
    }

    @Override
    public int draw(double[] weights) {
        return choose(weights);
    }

    @Override
    public void gumbels(float[] noise) {
        throw new UnsupportedOperationException("noise that is not discrete cannot be enumerated");
    }
}
