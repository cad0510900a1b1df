package org.respec.tools.experiment;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.TrainingRun;
import org.respec.tools.check.KernelCompilation;

/**
 * Whole training runs of several variants. A seed means the same problems and noise for all of them; each seed begins with another
 * variant, so that none always runs in another's wake.
 */
final class PairedRuns {
    private final Lab lab;
    private final String experiment;
    private final List<String> common;

    /**
     * Runs of an experiment; {@code common} overrides hold for all variants.
     *
     * @throws BadInput if they would have no iteration
     */
    PairedRuns(Lab lab, String experiment, List<String> common) {
        if (lab.config(common).train().iterations() < 1) {
            throw new BadInput("train.iterations: 0 leaves nothing to compare; " + experiment + " takes 1 or more.");
        }
        this.lab = lab;
        this.experiment = experiment;
        this.common = common;
    }

    /** Runs all variants with all seeds; traces by variant, in order of seeds. */
    Map<Variant, List<Trace>> run(List<Variant> variants) {
        Map<Variant, List<Trace>> traces = new LinkedHashMap<>();
        variants.forEach(variant -> traces.put(variant, new ArrayList<>()));
        for (int seed = 0; seed < lab.seeds(); seed++) {
            for (int turn = 0; turn < variants.size(); turn++) {
                Variant variant = variants.get((seed + turn) % variants.size());
                traces.get(variant).add(run(variant, seed, List.of()));
            }
        }
        return traces;
    }

    /** Runs one variant for some iterations, so that the JIT has seen what the measured runs do. */
    void warmUp(Variant variant, int iterations) {
        run(new Variant("warm-up", variant.overrides()), 0, List.of("train.iterations=" + iterations));
    }

    private Trace run(Variant variant, int seed, List<String> extra) {
        List<String> overrides = new ArrayList<>(common);
        overrides.addAll(variant.overrides());
        overrides.addAll(extra);
        Path folder = lab.output().resolve(experiment + "-runs").resolve(variant.name() + "-seed" + (seed + 1));
        overrides.add("run.seed=" + (seed + 1));
        overrides.add("run.dir=" + folder);
        // Only the closing checkpoint is written, outside of every iteration, and no evaluation beside the rewards of training.
        overrides.add("train.checkpoint_every=1000000");
        overrides.add("eval.problems=0");
        overrides.add("eval.comparison=false");
        RunConfig config = lab.config(overrides);
        delete(folder);
        Watch watch = new Watch();
        ObjectNode summary;
        try (TrainingRun run = new TrainingRun(config, false, KernelCompilation.preparation(System.out))) {
            summary = run.run(watch);
        }
        delete(folder.resolve("checkpoints"));
        double total = watch.seconds.stream().mapToDouble(s -> s).sum();
        lab.log().accept(String.format(Locale.ROOT, "%s, seed %d: %d iterations in %.1f s", variant.name(), seed + 1, watch.lines.size(),
            total));
        return new Trace(variant, seed + 1, watch.lines, watch.seconds.stream().mapToDouble(s -> s).toArray(), summary);
    }

    /** Removes what an earlier call of this experiment left in a folder of its own. */
    private static void delete(Path folder) {
        try {
            SafeFiles.deleteAll(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(folder + ": it cannot be removed", e);
        }
    }

    private static final class Watch implements TrainingRun.Listener {
        private final List<ObjectNode> lines = new ArrayList<>();
        private final List<Double> seconds = new ArrayList<>();
        private long last;

        @Override
        public void started(int firstIteration, int iterations) {
            last = System.nanoTime();
        }

        @Override
        public void iterated(ObjectNode metrics) {
            long now = System.nanoTime();
            seconds.add((now - last) * 1e-9);
            lines.add(metrics.deepCopy());
            last = now;
        }
    }
}
