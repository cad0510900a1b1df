package org.respec.tools.experiment;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.simulate.TraceGenerator;
import org.respec.engine.simulate.TraceRequest;

/**
 * Lengths of responses as reasoning models give them, and requests whose responses are as long: log-normal, some many times longer than
 * most, as made-up traces of {@code simulate} have them. How long a response is depends neither on plan nor on batch, so that drawing it
 * once tells.
 */
final class LongTail {
    /** With this, one in forty is over seven times the median. */
    private static final double SPREAD = 1;
    private static final double LONGEST_OVER_MEDIAN = 7;

    /** A prompt with how many tokens its response has. */
    record Candidate(PromptGroup prompt, int length) {
    }

    private LongTail() {
    }

    /** Lengths of so many responses, of a median that is a seventh of {@code longest}, where they are cut. */
    static int[] lengths(int count, int longest, long seed) {
        double median = Math.max(1, longest / LONGEST_OVER_MEDIAN);
        return new TraceGenerator(count, median, SPREAD, longest, 1, 0).generate(seed, null).stream().mapToInt(TraceRequest::tokens)
            .toArray();
    }

    /** Adds a row: whose lengths, the seed, how many there are, mean, median, the ninth decile and the longest. */
    static void describe(Table table, String whose, int seed, int[] lengths) {
        int[] sorted = Arrays.stream(lengths).sorted().toArray();
        table.add(whose, seed, sorted.length, Arrays.stream(sorted).average().orElseThrow(), sorted[sorted.length / 2],
            sorted[sorted.length * 9 / 10], sorted[sorted.length - 1]);
    }

    /**
     * So many of the candidates, in the order of their wanted lengths' numbers: for each wanted length the one that is not taken yet and
     * comes nearest to it. The median is such that the longest candidate is seven times longer.
     */
    static List<Candidate> pick(List<Candidate> candidates, int count, long seed) {
        if (candidates.size() < count || count < 1) {
            throw new IllegalArgumentException(count + " of " + candidates.size() + " candidates");
        }
        int longest = candidates.stream().mapToInt(Candidate::length).max().orElseThrow();
        List<Candidate> left = new ArrayList<>(candidates);
        List<Candidate> picked = new ArrayList<>();
        for (int wanted : lengths(count, longest, seed)) {
            Candidate nearest = left.stream().min(Comparator.comparingInt(c -> Math.abs(c.length() - wanted))).orElseThrow();
            left.remove(nearest);
            picked.add(nearest);
        }
        return picked;
    }
}
