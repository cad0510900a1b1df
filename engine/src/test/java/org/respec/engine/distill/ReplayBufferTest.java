package org.respec.engine.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.respec.engine.rollout.CapturedRows;
import org.respec.engine.rollout.Trajectory;

class ReplayBufferTest {
    private static final int WIDTH = 3;
    private static final int TOP = 2;

    /** A trajectory whose every number says which trajectory and row it belongs to. */
    private static Trajectory trajectory(int id, int prompt, int response) {
        int rows = prompt + response - 1;
        int taught = rows - (prompt - 1);
        MemorySegment features = Arena.ofAuto().allocate(4L * rows * WIDTH, 4);
        MemorySegment ids = Arena.ofAuto().allocate(4L * taught * TOP, 4);
        MemorySegment logProbs = Arena.ofAuto().allocate(4L * taught * TOP, 4);
        MemorySegment tails = Arena.ofAuto().allocate(4L * taught, 4);
        for (int i = 0; i < rows * WIDTH; i++) {
            features.setAtIndex(ValueLayout.JAVA_FLOAT, i, id * 1000f + i);
        }
        for (int i = 0; i < taught * TOP; i++) {
            ids.setAtIndex(ValueLayout.JAVA_INT, i, id * 1000 + i);
            logProbs.setAtIndex(ValueLayout.JAVA_FLOAT, i, -id - i);
        }
        for (int i = 0; i < taught; i++) {
            tails.setAtIndex(ValueLayout.JAVA_FLOAT, i, -id * 2 - i);
        }
        int[] promptTokens = new int[prompt];
        int[] responseTokens = new int[response];
        for (int i = 0; i < prompt + response; i++) {
            (i < prompt ? promptTokens : responseTokens)[i < prompt ? i : i - prompt] = id + i;
        }
        return new Trajectory(id, 0, id, promptTokens, responseTokens, new float[response], true,
            new CapturedRows(rows, prompt - 1, features, ids, logProbs, tails));
    }

    private static void check(ReplayBuffer buffer, ReplayBuffer.Entry entry, Trajectory t, String when) {
        CapturedRows c = t.capture();
        assertEquals(c.rows(), entry.rows(), when);
        assertEquals(c.firstTaught(), entry.firstTaught(), when);
        assertEquals(t.requestId(), (long) entry.weight(), when);
        for (int i = 0; i <= c.rows(); i++) {
            assertEquals(t.token(i), entry.tokens()[i], when);
        }
        long from = 4L * entry.start() * WIDTH;
        assertEquals(-1, buffer.features().asSlice(from, 4L * c.rows() * WIDTH).mismatch(c.features()), when);
        long taught = entry.start() + entry.firstTaught();
        assertEquals(-1, buffer.ids().asSlice(4L * taught * TOP, c.teacherIds().byteSize()).mismatch(c.teacherIds()), when);
        assertEquals(-1, buffer.logProbs().asSlice(4L * taught * TOP, c.teacherLogProbs().byteSize()).mismatch(c.teacherLogProbs()), when);
        assertEquals(c.teacherTails().getAtIndex(ValueLayout.JAVA_FLOAT, 0), buffer.tail(taught), when);
    }

    /** Entries are the newest trajectories in order, whole, and as many as fit a ring that wastes at most its end. */
    @Test
    void theNewestStayWhole() {
        SplittableRandom random = new SplittableRandom(3);
        int capacity = 100;
        try (ReplayBuffer buffer = new ReplayBuffer(capacity, WIDTH, TOP)) {
            ArrayDeque<Trajectory> added = new ArrayDeque<>();
            for (int i = 1; i < 5000; i++) {
                Trajectory t = trajectory(i, 1 + random.nextInt(8), 1 + random.nextInt(i % 100 == 0 ? 92 : 20));
                String when = "seed 3, trajectory " + i;
                boolean taken = buffer.add(t, i);
                assertEquals(t.capture().rows() >= 2 && t.capture().rows() <= capacity, taken, when);
                if (taken) {
                    added.addLast(t);
                }
                while (added.size() > buffer.size()) {
                    added.removeFirst();
                }
                assertEquals(added.size(), buffer.size(), when);
                int rows = 0;
                Iterator<Trajectory> want = added.iterator();
                for (ReplayBuffer.Entry entry : buffer.entries()) {
                    check(buffer, entry, want.next(), when);
                    rows += entry.rows();
                }
                assertEquals(rows, buffer.rows(), when);
                assertTrue(rows <= capacity, when);
                if (i % 500 == 0) {
                    int[] index = buffer.index();
                    buffer.restore(index);
                    assertArrayEquals(index, buffer.index(), when);
                }
            }
            buffer.clear();
            assertEquals(0, buffer.rows());
        }
    }

    /** Rows of which the buffer would hold nothing need not be there: everything else lies where it would, over many iterations. */
    @Test
    void rowsThatWereNotKeptChangeNothing() {
        SplittableRandom random = new SplittableRandom(5);
        int capacity = 100;
        int id = 1;
        try (ReplayBuffer whole = new ReplayBuffer(capacity, WIDTH, TOP); ReplayBuffer partial = new ReplayBuffer(capacity, WIDTH, TOP)) {
            int dropped = 0;
            for (int iteration = 0; iteration < 200; iteration++) {
                Trajectory[] drawn = new Trajectory[1 + random.nextInt(30)];
                for (int i = 0; i < drawn.length; i++) {
                    drawn[i] = trajectory(id++, 1 + random.nextInt(8), 1 + random.nextInt(i % 7 == 0 ? 92 : 20));
                }
                long after = 0;
                boolean[] kept = new boolean[drawn.length];
                for (int i = drawn.length - 1; i >= 0; i--) {
                    int rows = drawn[i].capture().rows();
                    kept[i] = after < capacity;
                    after += rows >= 2 && rows <= capacity ? rows : 0;
                }
                for (int i = 0; i < drawn.length; i++) {
                    Trajectory t = drawn[i];
                    CapturedRows c = t.capture();
                    whole.add(t, t.requestId());
                    partial.add(kept[i] ? t : new Trajectory(t.group(), 0, t.requestId(), t.prompt(), t.response(), t.logProbs(), true,
                        new CapturedRows(c.rows(), c.firstTaught(), null, null, null, null)), t.requestId());
                    dropped += kept[i] ? 0 : 1;
                }
                String when = "seed 5, iteration " + iteration;
                assertArrayEquals(whole.index(), partial.index(), when);
                for (ReplayBuffer.Entry entry : partial.entries()) {
                    int prompt = entry.firstTaught() + 1;
                    check(partial, entry, trajectory((int) entry.weight(), prompt, entry.rows() + 1 - prompt), when);
                }
            }
            assertTrue(dropped > 500, dropped + " were not kept");
        }
    }

    @Test
    void uselessAndOversizedOnesAreLeftOut() {
        try (ReplayBuffer buffer = new ReplayBuffer(10, WIDTH, TOP)) {
            assertFalse(buffer.add(trajectory(1, 1, 1), 1));
            assertFalse(buffer.add(trajectory(2, 6, 6), 1));
            assertTrue(buffer.add(trajectory(3, 5, 6), 3));
            assertEquals(List.of(10), buffer.entries().stream().map(ReplayBuffer.Entry::rows).toList());
            assertThrows(IllegalArgumentException.class, () -> buffer.restore(new int[] {0, 1, 5, 6, 0, 0}));
        }
    }

    @Test
    void weightsFollowRewards() {
        RewardWeights weights = new RewardWeights(true, 0.2f, 2f);
        assertArrayEquals(new float[] {2f, 0.2f, 0.2f, 0.2f, 1, 1, 1, 1, 1, 1, 1, 1},
            weights.of(new double[] {1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}, 4));
        assertArrayEquals(new float[] {1.5f, 0.5f}, weights.of(new double[] {3, 1}, 2));
        assertArrayEquals(new float[] {1, 1}, new RewardWeights(false, 0.2f, 2f).of(new double[] {3, 1}, 2));
        assertThrows(IllegalArgumentException.class, () -> weights.of(new double[3], 2));
        assertThrows(IllegalArgumentException.class, () -> new RewardWeights(true, 0f, 2f));
    }
}
