package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.TrainingRun;

/**
 * The quickstart on the device: rollouts, GRPO and drafter learning. Its accuracy must rise. Quick: an untrained tiny model, two
 * iterations.
 */
final class TrainStage implements CheckStage {
    /** Of the quickstart's 90: half of them, with a batch that suits a GPU. What is drawn and learnt does not depend on the batch. */
    private static final int ITERATIONS = 45;
    private static final int BATCH = 256;

    @Override
    public String name() {
        return "train";
    }

    @Override
    public int seconds() {
        return 120;
    }

    @Override
    public void run(StageRun run) {
        boolean quick = run.settings().quick();
        List<String> overrides = new ArrayList<>(List.of("run.device=" + run.settings().device(),
            "run.dir=" + run.folder().resolve("run"), "train.iterations=" + (quick ? 2 : ITERATIONS)));
        overrides.addAll(run.models().overrides());
        overrides.addAll(quick ? TinyRuns.overrides() : List.of("rollout.max_batch=" + BATCH));
        RunConfig config = RunConfig.read(run.settings().quickstart(), overrides);
        ObjectNode summary;
        try (TrainingRun training = new TrainingRun(config, false)) {
            summary = training.run(new TrainingRun.Listener() {
                @Override
                public void started(int firstIteration, int iterations) {
                    run.say("on " + training.device());
                }

                @Override
                public void iterated(ObjectNode metrics) {
                    run.json().withArray("/rewards").add(metrics.path("reward").doubleValue());
                    run.checkTime();
                }
            });
        }
        run.json().set("summary", summary);
        double before = summary.at("/eval/accuracy_before").doubleValue();
        double after = summary.at("/eval/accuracy_after").doubleValue();
        // A tiny model learns nothing in two iterations: there it is enough that it runs.
        boolean good = quick || after > before;
        run.item("quickstart", String.format(Locale.ROOT, "%d iterations, accuracy %.1f %% before, %.1f %% after, %.0f tokens/s",
            config.train().iterations(), 100 * before, 100 * after, summary.at("/rollout/tokens_per_second").doubleValue()),
            good ? "" : "it did not rise");
    }
}
