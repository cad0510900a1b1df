package org.respec.tools.experiment;

import java.util.List;
import java.util.stream.IntStream;
import org.respec.tools.report.Series;

/** Curves over iterations, across seeds. */
final class Curves {
    private Curves() {
    }

    /** The mean over the seeds of a number of each iteration, between the least and the largest. */
    static Series byIteration(String name, List<Trace> traces, String pointer) {
        List<double[]> all = traces.stream().map(trace -> trace.series(pointer)).toList();
        int iterations = all.getFirst().length;
        double[] x = IntStream.rangeClosed(1, iterations).asDoubleStream().toArray();
        Spread[] at = new Spread[iterations];
        for (int i = 0; i < iterations; i++) {
            int iteration = i;
            at[i] = Spread.of(all.stream().mapToDouble(values -> values[iteration]).toArray());
        }
        return new Series(name, x, IntStream.range(0, iterations).mapToDouble(i -> at[i].mean()).toArray(),
            IntStream.range(0, iterations).mapToDouble(i -> at[i].min()).toArray(),
            IntStream.range(0, iterations).mapToDouble(i -> at[i].max()).toArray());
    }
}
