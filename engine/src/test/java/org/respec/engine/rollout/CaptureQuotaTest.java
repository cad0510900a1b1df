package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Rows that are kept are those that a buffer of so many rows holds in the end, whatever the order in which requests end. */
class CaptureQuotaTest {
    @Test
    void whatIsKeptDoesNotDependOnTheOrderOfEnds() {
        for (int seed = 0; seed < 300; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            int requests = 1 + random.nextInt(40);
            int longest = 1 + random.nextInt(30);
            int room = 1 + random.nextInt(120);
            int[] rows = random.ints(requests, 0, longest + 1).toArray();
            boolean[] wanted = new boolean[requests];
            long after = 0;
            for (int i = requests - 1; i >= 0; i--) {
                wanted[i] = after < room;
                after += rows[i] >= 2 && rows[i] <= room ? rows[i] : 0;
            }
            long[] ends = random.longs(requests).toArray();
            List<Integer> order = IntStream.range(0, requests).boxed().sorted(Comparator.comparingLong(i -> ends[i])).toList();
            CaptureQuota quota = new CaptureQuota(requests, room);
            boolean[] kept = new boolean[requests];
            for (int request : order) {
                kept[request] = quota.keeps(request, rows[request]);
                Arrays.fill(kept, 0, quota.pushedOut() + 1, false);
                long held = 0;
                for (int i = 0; i < requests; i++) {
                    held += kept[i] && rows[i] >= 2 && rows[i] <= room ? rows[i] : 0;
                }
                assertTrue(held < room + (long) longest, "seed " + seed + ": " + held + " rows held of " + room);
            }
            assertArrayEquals(wanted, kept, "seed " + seed);
        }
    }

    @Test
    void allAreKeptWhereThereIsRoom() {
        CaptureQuota quota = new CaptureQuota(3, Integer.MAX_VALUE);
        for (int request : new int[] {2, 0, 1}) {
            assertTrue(quota.keeps(request, 100_000_000));
            assertEquals(-1, quota.pushedOut());
        }
    }
}
