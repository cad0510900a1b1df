package org.respec.tools.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.respec.engine.rollout.PromptGroup;

class LongTailTest {
    /** Candidates with responses of 10 to 90 tokens, most of them of middling length. */
    private static List<LongTail.Candidate> candidates(int count) {
        List<LongTail.Candidate> candidates = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            candidates.add(new LongTail.Candidate(new PromptGroup(new int[] {1}, 1, i), 10 + (i % 9) * (i % 11)));
        }
        return candidates;
    }

    private static List<Long> requests(List<LongTail.Candidate> picked) {
        return picked.stream().map(c -> c.prompt().firstRequestId()).toList();
    }

    @Test
    void fewAreManyTimesLongerThanMost() {
        for (long seed = 0; seed < 20; seed++) {
            List<LongTail.Candidate> picked = LongTail.pick(candidates(2000), 64, seed);
            assertEquals(64, requests(picked).stream().distinct().count(), "no prompt twice");
            int[] sorted = picked.stream().mapToInt(LongTail.Candidate::length).sorted().toArray();
            assertTrue(sorted[32] <= 20 && sorted[57] >= 2 * sorted[32] && sorted[63] >= 4 * sorted[32],
                "seed " + seed + ": median " + sorted[32] + ", p90 " + sorted[57] + ", longest " + sorted[63]);
            assertEquals(requests(picked), requests(LongTail.pick(candidates(2000), 64, seed)), "the same for the same seed");
        }
    }

    @Test
    void allAreTakenWhereThereAreNoMore() {
        assertEquals(List.copyOf(candidates(5)).stream().map(LongTail.Candidate::length).sorted().toList(),
            LongTail.pick(candidates(5), 5, 1).stream().map(LongTail.Candidate::length).sorted().toList());
        assertThrows(IllegalArgumentException.class, () -> LongTail.pick(candidates(5), 6, 1));
    }
}
