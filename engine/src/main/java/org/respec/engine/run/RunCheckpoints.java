package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.model.ParameterSet;

/** A run's checkpoints: what of its parts and state is kept, and taken up again. */
final class RunCheckpoints {
    private final RunParts parts;
    private final RunState state;
    private final CheckpointStore store;

    RunCheckpoints(RunParts parts, RunState state) {
        this.parts = parts;
        this.state = state;
        this.store = new CheckpointStore(folder(parts.folder.path()), parts.config.train().keepCheckpoints());
    }

    /** Where a run keeps its checkpoints. */
    static Path folder(Path run) {
        return run.resolve("checkpoints");
    }

    /** Writes where the run stands after an iteration. */
    void save() {
        state.actorSteps = parts.actorOptimizer.steps();
        Map<String, MemorySegment> drafterParts = parts.online == null ? Map.of() : parts.online.parts();
        ObjectNode json = state.toJson();
        TrainedModels.describe(parts, json);
        parts.origins.describe(json);
        if (parts.online != null) {
            json.set("drafter", parts.online.progress());
        }
        store.write(state.iteration, json, out -> {
            TrainedModels.describe(parts, out);
            out.add("actor.weights", parts.actor.weights()::read);
            out.add("actor.first", parts.actorOptimizer.firstMoments()::read);
            out.add("actor.second", parts.actorOptimizer.secondMoments()::read);
            drafterParts.forEach(out::add);
            if (parts.replay != null) {
                out.add("replay.index", parts.replay.index());
                for (int i = 0; i < parts.replay.segments().size(); i++) {
                    out.add("replay." + i, parts.replay.segments().get(i));
                }
            }
        });
    }

    /** Takes the run to its newest whole checkpoint; where there is none it stays at its beginning. Returns what was done, in sentences. */
    List<String> restore() {
        List<String> notes = new ArrayList<>();
        Optional<CheckpointStore.Checkpoint> newest = store.latest(notes::add);
        newest.ifPresent(this::restore);
        notes.add(newest.isPresent() ? "goes on after iteration " + state.iteration : "begins again, for it has no checkpoint yet");
        return notes;
    }

    private void restore(CheckpointStore.Checkpoint checkpoint) {
        try {
            state.restore(checkpoint.state());
        } catch (IllegalArgumentException e) {
            throw new BadInput(checkpoint.path() + ": its manifest.json is of another version (" + Reason.of(e)
                + "); resume with the version that wrote it, or begin again without --resume.", e);
        }
        parts.origins.require(checkpoint.state());
        TrainedModels.requireSame(parts, checkpoint);
        read(checkpoint, "actor.weights", parts.actor.weights());
        read(checkpoint, "actor.first", parts.actorOptimizer.firstMoments());
        read(checkpoint, "actor.second", parts.actorOptimizer.secondMoments());
        parts.actorOptimizer.restore(state.actorSteps);
        parts.actor.publish();
        if (parts.online != null) {
            for (int i = 0; i < parts.replay.segments().size(); i++) {
                checkpoint.read("replay." + i, parts.replay.segments().get(i));
            }
            parts.replay.restore(checkpoint.readNumbers("replay.index"));
            parts.online.restore(checkpoint.state().required("drafter"), checkpoint::read);
        }
    }

    private static void read(CheckpointStore.Checkpoint checkpoint, String part, ParameterSet set) {
        checkpoint.read(part, set.hostBytes());
        set.upload();
    }
}
