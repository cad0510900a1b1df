package org.respec.engine.sampling;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.model.Actor;
import org.respec.engine.model.ActorTraining;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.DrafterTraining;
import org.respec.engine.model.PassFiller;
import org.respec.engine.rollout.Trajectory;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * What actor and drafter say at the same places of real responses: at every level of a draft, all tokens before the drafted one being
 * the actor's own, the logits of both for it.
 */
public final class DraftPairs {
    /**
     * One place.
     *
     * @param level depth of the drafted token below the root, from 1
     * @param actor logits of the actor
     * @param drafter logits of the drafter, which has drafted the {@code level - 1} tokens before from its own states
     */
    public record Pair(int level, float[] actor, float[] drafter) {
    }

    private DraftPairs() {
    }

    /**
     * The pairs of all responses, level by level within a response.
     *
     * @param drawn trajectories with captured features
     * @param levels depths 1 to {@code levels}
     */
    public static List<Pair> of(Ops ops, Actor actor, Drafter drafter, List<Trajectory> drawn, int levels) {
        int rows = drawn.stream().mapToInt(t -> t.length() - 1).max().orElseThrow();
        List<Pair> pairs = new ArrayList<>();
        try (TensorArena arena = ops.arena("draft pairs"); ActorTraining target = new ActorTraining(ops, actor, rows, 1);
             DrafterTraining draft = new DrafterTraining(ops, drafter, rows, 1, levels, 1)) {
            HostMirror p = arena.mirror(DType.F32, rows, actor.config().vocabSize());
            HostMirror q = arena.mirror(DType.F32, rows, drafter.config().vocabSize());
            for (Trajectory trajectory : drawn) {
                add(ops, target, draft, p, q, trajectory, pairs);
            }
        }
        return pairs;
    }

    private static void add(Ops ops, ActorTraining target, DrafterTraining draft, HostMirror p, HostMirror q, Trajectory of,
                            List<Pair> out) {
        int rows = of.capture().rows();
        if (rows < 2) {
            return;
        }
        PassFiller actorRows = new PassFiller(target.tokens(), target.spans());
        PassFiller draftRows = new PassFiller(draft.step(0).tokens(), draft.spans());
        actorRows.beginSequence();
        draftRows.beginSequence();
        for (int t = 0; t < rows; t++) {
            actorRows.addRow(of.token(t));
            draftRows.addRow(of.token(t + 1));
        }
        actorRows.push(ops);
        draftRows.push(ops);
        MemorySegment features = of.capture().features();
        MemorySegment.copy(features, 0, draft.features().host().host(), 0, features.byteSize());
        ops.push(draft.features(), (long) rows * draft.features().host().cols());
        for (int s = 1; s < draft.unroll(); s++) {
            for (int t = 0; t < rows; t++) {
                int token = t + 1 + s < of.length() ? of.token(t + 1 + s) : 0;
                draft.step(s).tokens().host().host().setAtIndex(ValueLayout.JAVA_INT, t, token);
            }
            ops.push(draft.step(s).tokens(), rows);
        }
        target.forward(1, rows);
        draft.forward(1, rows);
        pull(ops, target::logits, target.logitRows(), p, rows);
        for (int s = 0; s < draft.unroll(); s++) {
            int step = s;
            pull(ops, (from, to) -> draft.logits(step, from, to), draft.logitRows(), q, rows);
            // Row t of step s predicts token t + 2 + s, as the actor's row t + 1 + s does.
            for (int row = Math.max(of.capture().firstTaught(), 1 + s); row < rows; row++) {
                out.add(new Pair(s + 1, row(p, row), row(q, row - 1 - s)));
            }
        }
    }

    private interface Pieces {
        /** Logits of rows {@code from} to {@code to}. */
        Tensor logits(int from, int to);
    }

    private static void pull(Ops ops, Pieces pieces, int most, HostMirror into, int rows) {
        for (int from = 0; from < rows; from += most) {
            int to = Math.min(rows, from + most);
            ops.convert(pieces.logits(from, to), into.device().rows(from, to), to - from);
        }
        ops.pull(into, (long) rows * into.host().cols());
    }

    private static float[] row(HostMirror mirror, int row) {
        int cols = mirror.host().cols();
        return mirror.host().host().asSlice(4L * row * cols, 4L * cols).toArray(ValueLayout.JAVA_FLOAT);
    }
}
