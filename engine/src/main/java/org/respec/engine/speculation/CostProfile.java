package org.respec.engine.speculation;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Seconds of verify and draft passes over live requests and rows: measured at some points, interpolated between them.
 */
public final class CostProfile implements PlanCosts {
    /** A measured pass. */
    public record Sample(int requests, int rows, double seconds) {
        public Sample {
            if (requests < 1 || rows < requests || !(seconds > 0)) {
                throw new IllegalArgumentException("a pass of " + rows + " rows over " + requests + " requests in " + seconds + " s");
            }
        }
    }

    /** One kind of pass: for each number of requests, samples by rows. */
    private static final class Surface {
        private final List<Sample> samples = new ArrayList<>();
        private int[] requests = new int[0];
        private int[][] rows = new int[0][];
        private double[][] seconds = new double[0][];

        void add(Sample sample) {
            samples.add(sample);
            samples.sort(Comparator.comparingInt(Sample::requests).thenComparingInt(Sample::rows));
            requests = samples.stream().mapToInt(Sample::requests).distinct().toArray();
            rows = new int[requests.length][];
            seconds = new double[requests.length][];
            for (int i = 0; i < requests.length; i++) {
                int batch = requests[i];
                rows[i] = samples.stream().filter(s -> s.requests() == batch).mapToInt(Sample::rows).toArray();
                seconds[i] = samples.stream().filter(s -> s.requests() == batch).mapToDouble(Sample::seconds).toArray();
            }
        }

        double at(int batch, int count) {
            if (requests.length == 0) {
                throw new IllegalStateException("nothing was measured");
            }
            int hi = 0;
            while (hi < requests.length && requests[hi] < batch) {
                hi++;
            }
            if (hi == requests.length) {
                return line(requests.length - 1, count);
            }
            if (requests[hi] == batch || hi == 0) {
                return line(hi, count);
            }
            double share = (double) (batch - requests[hi - 1]) / (requests[hi] - requests[hi - 1]);
            return (1 - share) * line(hi - 1, count) + share * line(hi, count);
        }

        /** Straight lines between samples, and on with the slope of the last two; never under the least measured. */
        private double line(int index, int count) {
            int[] x = rows[index];
            double[] y = seconds[index];
            if (x.length == 1) {
                return y[0] * Math.max(1.0, (double) count / x[0]);
            }
            int hi = 1;
            while (hi < x.length - 1 && x[hi] < count) {
                hi++;
            }
            double slope = (y[hi] - y[hi - 1]) / (x[hi] - x[hi - 1]);
            if (count > x[x.length - 1]) {
                slope = Math.max(slope, 0);
            }
            return Math.max(y[hi - 1] + slope * (count - x[hi - 1]), y[0] * Math.min(1.0, (double) count / x[0]));
        }
    }

    private final Surface verify = new Surface();
    private final Surface draft = new Surface();
    private final Surface level = new Surface();
    private final Surface overhead = new Surface();

    /** Adds a measured verify pass: the actor's forward pass with sampling. */
    public void addVerify(int requests, int rows, double seconds) {
        verify.add(new Sample(requests, rows, seconds));
    }

    /** Adds a measured draft pass: the drafter's forward pass with its head. */
    public void addDraft(int requests, int rows, double seconds) {
        draft.add(new Sample(requests, rows, seconds));
    }

    /** Adds what a level of a draft takes, from the second on; where none is known, it takes as long as a draft pass over its rows. */
    public void addLevel(int requests, int rows, double seconds) {
        level.add(new Sample(requests, rows, seconds));
    }

    /** Adds what drafting takes in a step beside its passes; where nothing is known, that is nothing. */
    public void addOverhead(int requests, double seconds) {
        overhead.add(new Sample(requests, requests, seconds));
    }

    /** Measured verify passes. */
    public List<Sample> verifySamples() {
        return List.copyOf(verify.samples);
    }

    /** Measured draft passes. */
    public List<Sample> draftSamples() {
        return List.copyOf(draft.samples);
    }

    /** Measured levels of drafts. */
    public List<Sample> levelSamples() {
        return List.copyOf(level.samples);
    }

    /** What drafting was measured to take beside passes. */
    public List<Sample> overheadSamples() {
        return List.copyOf(overhead.samples);
    }

    /** Seconds of a verify pass. */
    public double verify(int requests, int rows) {
        return verify.at(requests, rows);
    }

    /** Seconds of a draft pass. */
    public double draft(int requests, int rows) {
        return draft.at(requests, rows);
    }

    @Override
    public double verifySeconds(int batch, SpeculationPlan plan) {
        return verify(batch, batch * (plan.tokens() + 1));
    }

    @Override
    public double draftSeconds(int batch, SpeculationPlan plan, int rows) {
        double first = draft(batch, Math.max(batch, rows));
        double beside = overhead.samples.isEmpty() ? 0 : overhead.at(batch, batch);
        return beside + first + (plan.depth() - 1) * (level.samples.isEmpty() ? draft : level).at(batch, batch * plan.branch());
    }

    @Override
    public double extendSeconds(int batch, int rows) {
        return draft(batch, Math.max(batch, rows));
    }
}
