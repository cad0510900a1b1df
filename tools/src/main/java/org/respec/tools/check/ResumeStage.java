package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.respec.engine.BadInput;
import org.respec.engine.run.RunConfig;
import org.respec.engine.run.TrainingRun;

/** A run that is killed after a checkpoint and resumed ends in the same bits as one that was not; and it can be resumed on the CPU. */
final class ResumeStage implements CheckStage {
    private static final int ITERATIONS = 4;
    private static final int CHECKPOINT_EVERY = 2;
    private static final int KILLED_AFTER = 3;

    @Override
    public String name() {
        return "resume";
    }

    @Override
    public int seconds() {
        return 60;
    }

    @Override
    public void run(StageRun run) {
        Path straight = run.folder().resolve("straight");
        Path killed = run.folder().resolve("killed");
        Path moved = run.folder().resolve("moved");
        String device = run.settings().device();
        ObjectNode want = train(run, straight, device, false, ITERATIONS);
        run.checkTime();
        train(run, killed, device, false, KILLED_AFTER);
        copy(killed, moved);
        if (run.wants("the device")) {
            run.checkTime();
            ObjectNode got = train(run, killed, device, true, ITERATIONS);
            List<String> differences = new ArrayList<>();
            for (String each : List.of("/rollout/trajectory_sha256", "/actor/weights_sha256", "/drafter/weights_sha256")) {
                if (!want.at(each).equals(got.at(each))) {
                    differences.add(each.substring(1));
                }
            }
            run.json().put("same_bits", differences.isEmpty());
            run.item("the device resumes a run that was killed on it", "after iteration " + KILLED_AFTER + ", from checkpoint "
                + CHECKPOINT_EVERY, differences.isEmpty() ? "" : "not the same bits: " + String.join(", ", differences));
        }
        if (run.wants("the CPU")) {
            run.checkTime();
            ObjectNode got = train(run, moved, "cpu", true, ITERATIONS);
            double reward = got.at("/reward/last").doubleValue();
            run.json().put("reward_on_device", want.at("/reward/last").doubleValue()).put("reward_after_move", reward);
            boolean whole = got.path("iterations").intValue() == ITERATIONS && Double.isFinite(reward);
            run.item("the CPU resumes it too", String.format(Locale.ROOT, "last reward %.3f, on the device %.3f", reward,
                want.at("/reward/last").doubleValue()), whole ? "" : "it did not end after " + ITERATIONS + " iterations");
        }
    }

    /** A run, or what is left of it; null where it is killed after {@code last} iterations. */
    private static ObjectNode train(StageRun run, Path folder, String device, boolean resume, int last) {
        List<String> overrides = new ArrayList<>(List.of("run.device=" + device, "run.dir=" + folder,
            "train.checkpoint_every=" + CHECKPOINT_EVERY, "train.iterations=" + ITERATIONS));
        overrides.addAll(run.models().overrides());
        overrides.addAll(run.settings().quick() ? TinyRuns.overrides() : List.of("train.prompts_per_iteration=8", "train.group_size=4",
            "train.mini_batches=2", "rollout.max_batch=32", "speculation.mode=off", "eval.problems=16"));
        RunConfig config = RunConfig.read(run.settings().quickstart(), overrides);
        try (TrainingRun training = new TrainingRun(config, resume)) {
            return training.run(new TrainingRun.Listener() {
                @Override
                public void started(int firstIteration, int iterations) {
                    if (resume && firstIteration != CHECKPOINT_EVERY) {
                        throw new IllegalStateException("the run was resumed at iteration " + firstIteration
                            + " and not at its checkpoint, "
                            + CHECKPOINT_EVERY);
                    }
                }

                @Override
                public void iterated(ObjectNode metrics) {
                    run.checkTime();
                    if (last < ITERATIONS && metrics.path("iteration").intValue() == last) {
                        throw new Killed();
                    }
                }
            });
        } catch (Killed e) {
            return null;
        }
    }

    private static void copy(Path from, Path to) {
        try (Stream<Path> paths = Files.walk(from)) {
            for (Path path : paths.toList()) {
                Files.copy(path, to.resolve(from.relativize(path).toString()));
            }
        } catch (IOException e) {
            throw new BadInput(to + ": the run cannot be copied there (" + e.getMessage() + "); check space and permissions.", e);
        }
    }

    /** Ends a run where it is, as far as a process can do that to itself: nothing is written any more. */
    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1;
    }
}
