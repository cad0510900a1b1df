package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The index against maps of objects that follow the same rules. */
class NgramIndexTest {
    /** A token and how often it followed. */
    private static final class Follower {
        private final int token;
        private int count;

        Follower(int token) {
            this.token = token;
        }
    }

    /** What is known of a context, in the order it came. */
    private static final class Context {
        private final long key;
        private final List<Follower> followers = new ArrayList<>();

        Context(long key) {
            this.key = key;
        }

        void add(int token) {
            Follower follower = followers.stream().filter(f -> f.token == token).findFirst().orElse(null);
            if (follower == null) {
                follower = new Follower(token);
                if (followers.size() < NgramIndex.TOKENS) {
                    followers.add(follower);
                } else {
                    int rarest = 0;
                    for (int i = 0; i < followers.size(); i++) {
                        rarest = followers.get(i).count <= followers.get(rarest).count ? i : rarest;
                    }
                    followers.set(rarest, follower);
                }
            }
            follower.count++;
            if (total() >= NgramIndex.FADE_AT) {
                followers.forEach(f -> f.count /= 2);
                followers.removeIf(f -> f.count == 0);
            }
        }

        int total() {
            return followers.stream().mapToInt(f -> f.count).sum();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {256, 1024, 100_000})
    void countsAreThoseOfMaps(long bytes) {
        SplittableRandom random = new SplittableRandom(bytes);
        long sets = Long.highestOneBit(bytes / 256);
        // By set, the one that was added to last comes last.
        Map<Long, List<Context>> model = new HashMap<>();
        try (NgramIndex index = new NgramIndex(bytes)) {
            assertTrue(index.bytes() <= bytes && 2 * index.bytes() > bytes, index.bytes() + " of " + bytes);
            int evicted = 0;
            for (int step = 0; step < 60_000; step++) {
                long key = random.nextLong(300) * 0x9E3779B97F4A7C15L;
                // Few tokens for most contexts, more than there is room for in others.
                int token = random.nextInt(key % 3 == 0 ? 30 : 3);
                index.add(key, token);
                long tag = key == 0 ? 1 : key;
                List<Context> set = model.computeIfAbsent(tag & (sets - 1), s -> new ArrayList<>());
                Context context = set.stream().filter(c -> c.key == tag).findFirst().orElse(null);
                if (context == null) {
                    context = new Context(tag);
                } else {
                    set.remove(context);
                }
                if (set.size() == NgramIndex.WAYS) {
                    set.removeFirst();
                    evicted++;
                }
                set.add(context);
                context.add(token);
                if (step % 97 == 0) {
                    same(index, model, sets, random.nextLong(300) * 0x9E3779B97F4A7C15L);
                }
            }
            for (long key = 0; key < 300; key++) {
                same(index, model, sets, key * 0x9E3779B97F4A7C15L);
            }
            assertEquals(model.values().stream().mapToInt(List::size).sum(), index.size());
            assertTrue(index.size() <= bytes / 64);
            assertEquals(bytes < 2048, evicted > 100, evicted + " contexts went");
        }
    }

    private static void same(NgramIndex index, Map<Long, List<Context>> model, long sets, long key) {
        long tag = key == 0 ? 1 : key;
        Context want = model.getOrDefault(tag & (sets - 1), List.of()).stream().filter(c -> c.key == tag).findFirst().orElse(null);
        long entry = index.find(key);
        assertEquals(want == null, entry < 0, "context " + key);
        if (want == null) {
            return;
        }
        assertEquals(want.total(), index.total(entry));
        int[] tokens = new int[want.followers.size()];
        int[] counts = new int[tokens.length];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = index.token(entry, i);
            counts[i] = index.count(entry, i);
        }
        assertEquals(Arrays.toString(want.followers.stream().mapToInt(f -> f.token).toArray()), Arrays.toString(tokens));
        assertEquals(Arrays.toString(want.followers.stream().mapToInt(f -> f.count).toArray()), Arrays.toString(counts));
        assertTrue(tokens.length == NgramIndex.TOKENS || index.count(entry, tokens.length) == 0);
    }

    @Test
    void tooLittleMemoryIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new NgramIndex(255));
    }

    /** Chances against counts taken by looking through all sequences. */
    @Test
    void chancesAreThoseOfASearchThroughAllSequences() {
        SplittableRandom random = new SplittableRandom(5);
        for (int trial = 0; trial < 40; trial++) {
            List<int[]> prompts = List.of(new int[] {1, 2, 3}, new int[] {3, 2});
            List<List<int[]>> responses = List.of(new ArrayList<>(), new ArrayList<>());
            try (NgramPredictor predictor = new NgramPredictor(1 << 20)) {
                for (int i = 0; i < 6; i++) {
                    int group = random.nextInt(2);
                    int[] sequence = random.ints(random.nextInt(1, 20), 0, 4).toArray();
                    responses.get(group).add(sequence);
                    // In parts, as a request grows.
                    int middle = random.nextInt(sequence.length + 1);
                    predictor.learn(sequence, 0, middle, NgramPredictor.scope(prompts.get(group)));
                    predictor.learn(sequence, middle, sequence.length, NgramPredictor.scope(prompts.get(group)));
                }
                for (int query = 0; query < 20; query++) {
                    int group = random.nextInt(2);
                    int[] recent = random.ints(random.nextInt(NgramPredictor.LONGEST + 3), 0, 4).toArray();
                    double[] want = new double[4];
                    double unseen = 1;
                    for (int length = Math.min(recent.length, NgramPredictor.LONGEST); length > 0 && unseen > 1e-3; length--) {
                        for (boolean own : new boolean[] {true, false}) {
                            int[] counts = new int[4];
                            for (int g = 0; g < 2; g++) {
                                for (int[] sequence : own && g != group ? List.<int[]>of() : responses.get(g)) {
                                    count(sequence, recent, length, counts);
                                }
                            }
                            int total = Arrays.stream(counts).sum();
                            long different = Arrays.stream(counts).filter(c -> c > 0).count();
                            if (total > 0) {
                                for (int x = 0; x < 4; x++) {
                                    want[x] += unseen * counts[x] / (total + different);
                                }
                                unseen *= (double) different / (total + different);
                            }
                        }
                    }
                    int found = predictor.predict(recent, recent.length, NgramPredictor.scope(prompts.get(group)));
                    double[] got = new double[4];
                    for (int i = 0; i < found; i++) {
                        assertEquals(0, got[predictor.token(i)], "a token is found once");
                        got[predictor.token(i)] = predictor.chance(i);
                    }
                    for (int x = 0; x < 4; x++) {
                        assertEquals(want[x], got[x], 1e-12, "trial " + trial + ", token " + x);
                    }
                    assertEquals(unseen, predictor.unseen(), 1e-12);
                    assertEquals(1, Arrays.stream(got).sum() + predictor.unseen(), 1e-9);
                }
            }
        }
    }

    /** Counts what follows the {@code length} tokens that {@code recent} begins with, newest first. */
    private static void count(int[] sequence, int[] recent, int length, int[] counts) {
        for (int t = length; t < sequence.length; t++) {
            boolean same = true;
            for (int i = 0; i < length; i++) {
                same &= sequence[t - 1 - i] == recent[i];
            }
            if (same) {
                counts[sequence[t]]++;
            }
        }
    }
}
