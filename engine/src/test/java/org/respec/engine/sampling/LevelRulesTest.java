package org.respec.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Every rule draws the actor's distribution, whatever the drafter says. */
class LevelRulesTest {
    private static final List<LevelRule> DISCRETE = List.of(new RankedRule(), new RejectionRule());

    /** Some tokens have no chance at all, as after top-k. */
    private static double[] random(SplittableRandom random, int vocab, boolean holes) {
        double[] p = new double[vocab];
        for (int x = 0; x < vocab; x++) {
            p[x] = holes && x > 0 && random.nextInt(3) == 0 ? 0 : random.nextDouble();
        }
        return Distributions.normalised(p);
    }

    @Test
    void oneLevelIsExactByEnumeration() {
        SplittableRandom random = new SplittableRandom(11);
        for (int trial = 0; trial < 200; trial++) {
            int vocab = 1 + trial % 5;
            double[] p = random(random, vocab, trial % 3 == 0);
            double[] q = trial % 7 == 0 ? p : random(random, vocab, trial % 4 == 0);
            for (int children = 1; children <= vocab; children++) {
                for (LevelRule rule : DISCRETE) {
                    double[] drawn = new double[vocab];
                    int named = children;
                    double[] accepted = new double[1];
                    EnumeratedCoins.all(coins -> {
                        Level level = rule.draw(p, q, named, coins);
                        drawn[level.token()] += coins.probability();
                        accepted[0] += level.accepted() ? coins.probability() : 0;
                        assertTrue(level.child() < named);
                    });
                    String what = rule.name() + " with " + children + " children, p " + Arrays.toString(p) + ", q " + Arrays.toString(q);
                    assertArrayEquals(p, drawn, 1e-12, what);
                    if (children == 1 && rule instanceof RejectionRule) {
                        assertEquals(Distributions.overlap(p, q), accepted[0], 1e-12, what);
                    }
                    if (rule instanceof RankedRule) {
                        assertEquals(Arrays.stream(Distributions.largest(q, children)).mapToDouble(x -> p[x]).sum(), accepted[0],
                            1e-12, what);
                    }
                }
            }
        }
    }

    @Test
    void walksDownATreeAreExactByEnumeration() {
        int vocab = 3;
        int depth = 3;
        PrefixModel actor = new PrefixModel(3, vocab, 2);
        PrefixModel drafter = new PrefixModel(4, vocab, 2);
        for (LevelRule rule : DISCRETE) {
            for (int children = 1; children <= 2; children++) {
                double[] drawn = new double[27];
                int named = children;
                EnumeratedCoins.all(coins -> {
                    int[] tokens = new int[depth];
                    int code = 0;
                    boolean inTree = true;
                    for (int t = 0; t < depth; t++) {
                        double[] p = actor.distribution(tokens, t);
                        // After a bonus token there is no tree any more: the rest is drawn from the actor.
                        Level level = inTree ? rule.draw(p, drafter.distribution(tokens, t), named, coins) : new Level(coins.draw(p), -1);
                        inTree &= level.accepted();
                        tokens[t] = level.token();
                        code = code * vocab + level.token();
                    }
                    drawn[code] += coins.probability();
                });
                for (int code = 0; code < drawn.length; code++) {
                    int[] tokens = {code / 9, code / 3 % 3, code % 3};
                    double want = 1;
                    for (int t = 0; t < depth; t++) {
                        want *= actor.distribution(tokens, t)[tokens[t]];
                    }
                    assertEquals(want, drawn[code], 1e-12,
                        rule.name() + ", " + children + " children, response " + Arrays.toString(tokens));
                }
            }
        }
    }

    @Test
    void counterCoinsFollowEveryRule() {
        SplittableRandom random = new SplittableRandom(13);
        int vocab = 60;
        double[] p = random(random, vocab, false);
        double[] q = random(random, vocab, true);
        for (LevelRule rule : List.of(new RankedRule(), new RejectionRule(), new CoupledRule())) {
            for (int children : new int[] {1, 4}) {
                long[] counts = new long[vocab];
                CounterCoins coins = new CounterCoins(17, children);
                for (int i = 0; i < 100_000; i++) {
                    counts[rule.draw(p, q, children, coins).token()]++;
                }
                new ChiSquare().add(counts, p).check(rule.name() + " with " + children + " children");
            }
        }
    }

    @Test
    void aFaultyRuleIsFound() {
        // The well-known mistake: confidences of ranked children used as if they had been sampled.
        LevelRule wrong = new LevelRule() {
            @Override
            public String name() {
                return "wrong";
            }

            @Override
            public Level draw(double[] p, double[] q, int children, Coins coins) {
                int token = Distributions.largest(q, 1)[0];
                return coins.accept(p[token] / q[token]) ? new Level(token, 0) : new Level(coins.draw(p), -1);
            }
        };
        SplittableRandom random = new SplittableRandom(19);
        double[] p = random(random, 4, false);
        double[] q = random(random, 4, false);
        double[] drawn = new double[4];
        EnumeratedCoins.all(coins -> drawn[wrong.draw(p, q, 1, coins).token()] += coins.probability());
        assertEquals(1, Distributions.sum(drawn), 1e-12);
        assertTrue(Math.abs(drawn[Distributions.largest(q, 1)[0]] - p[Distributions.largest(q, 1)[0]]) > 0.01, "enumeration sees a bias");
    }

    @Test
    void smallArithmetic() {
        assertArrayEquals(new int[] {2, 0, 3}, Distributions.largest(new double[] {3, 1, 5, 3, 2}, 3));
        assertArrayEquals(new int[] {1, 0}, Distributions.largest(new double[] {3, 4}, 5));
        assertArrayEquals(new double[] {0, 1}, Distributions.tempered(new double[] {0.4, 0.6}, 0));
        assertArrayEquals(new double[] {0.2, 0.8}, Distributions.tempered(new double[] {1.0 / 3, 2.0 / 3}, 0.5), 1e-15);
        assertArrayEquals(new double[] {0, 1, 0}, Distributions.softmax(new float[] {9, 1, 2, 2, 9}, 1, 3, 0));
        assertEquals(0, Distributions.chiSquare(new double[] {0.3, 0.7}, new double[] {0.3, 0.7}), 1e-15);
    }
}
