package org.respec.engine.rollout;

import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * By-products of the actor's passes that are kept for a drafter: features of every decided position and, where it is to be taught,
 * the likeliest tokens there. Without a drafter nothing is kept, and every method does nothing.
 */
final class KeptRows {
    private final Ops ops;
    private final FeatureStore features;
    private final TeacherStore teachers;
    private final CaptureReader reader;
    /** Rows of the pass to keep, and their places. */
    private final HostView rows;
    private final HostView places;
    private final HostMirror both;
    private int count;

    /** @param drafter null for none */
    KeptRows(Ops ops, TensorArena arena, Actor actor, Drafter drafter, RolloutLimits limits) {
        this.ops = ops;
        int width = drafter == null ? 0 : drafter.config().featureLayers().length * actor.config().hiddenSize();
        features = drafter == null ? null : new FeatureStore(arena, actor.dtype(), limits.maxBatch(), limits.maxLength(), width);
        teachers = drafter != null && limits.captureTopK() > 0 ? new TeacherStore(ops, arena, limits, limits.maxRows()) : null;
        reader = teachers == null ? null : new CaptureReader(ops, arena, features, teachers, limits.maxLength());
        MirrorBlock block = new MirrorBlock(arena, 2 * MirrorBlock.bytes(DType.I32, 1, limits.maxRows()));
        rows = new HostView(block.mirror(DType.I32, 1, limits.maxRows()));
        places = new HostView(block.mirror(DType.I32, 1, limits.maxRows()));
        both = block.range(rows.mirror(), places.mirror());
    }

    /** The features; null without a drafter. */
    FeatureStore features() {
        return features;
    }

    void openGroup(GroupState group) {
        if (features != null) {
            features.openGroup(group);
        }
    }

    void closeGroup(GroupState group) {
        if (features != null) {
            features.closeGroup(group);
        }
    }

    /** Keeps the first {@code count} rows of a pass over a group's prefix, which are its positions from {@code first} on. */
    void storePrefix(GroupState group, int first, int count, Tensor passFeatures) {
        if (features == null) {
            return;
        }
        for (int i = 0; i < count; i++) {
            places.setInt(i, features.row(group, first + i));
        }
        places.push(ops, count);
        ops.copyRows(passFeatures, null, features.rows(), places.mirror().device(), count);
    }

    /** Notes a row of the pass as a request's position. */
    void add(Slot slot, int position, int row) {
        if (features != null) {
            rows.setInt(count, row);
            places.setInt(count, features.row(slot, position));
            count++;
        }
    }

    /** Keeps the rows noted since the last call. */
    void store(VerifyPass pass, float temperature) {
        if (count == 0) {
            return;
        }
        ops.push(both, both.host().size());
        ops.copyRows(pass.features(), rows.mirror().device(), features.rows(), places.mirror().device(), count);
        if (teachers != null) {
            teachers.capture(pass.logits(), temperature, rows, places, count);
        }
        count = 0;
    }

    /** A finished request's rows, in memory of their own; null where none are for teaching. */
    CapturedRows read(Slot slot) {
        return reader == null ? null : reader.read(slot);
    }
}
