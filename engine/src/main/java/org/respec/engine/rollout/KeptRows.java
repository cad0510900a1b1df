package org.respec.engine.rollout;

import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.FeatureTarget;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.MirrorBlock;
import org.respec.kernels.Ops;
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
    private final int captureRows;
    /** Rows of the pass to keep, and their places. */
    private final HostView rows;
    private final HostView places;
    private final HostMirror both;
    /** The store at {@link #places}. */
    private final FeatureTarget target;
    private int count;
    /** Whether the pass's own rows are at their places. */
    private boolean placed;

    /** @param drafter null for none */
    KeptRows(Ops ops, TensorArena arena, Actor actor, Drafter drafter, RolloutLimits limits) {
        this.ops = ops;
        int width = drafter == null ? 0 : drafter.config().featureLayers().size() * actor.config().hiddenSize();
        features = drafter == null ? null : new FeatureStore(arena, actor.dtype(), limits.maxBatch(), limits.maxLength(), width);
        teachers = drafter != null && limits.captureTopK() > 0 ? new TeacherStore(ops, arena, limits, limits.maxRows()) : null;
        reader = teachers == null ? null : new CaptureReader(ops, arena, features, teachers, limits.maxLength());
        captureRows = limits.captureRows();
        MirrorBlock block = new MirrorBlock(arena, 2 * MirrorBlock.bytes(DType.I32, 1, limits.maxRows()));
        rows = new HostView(block.mirror(DType.I32, 1, limits.maxRows()));
        places = new HostView(block.mirror(DType.I32, 1, limits.maxRows()));
        both = block.range(rows.mirror(), places.mirror());
        target = features == null ? null : features.target(drafter.config().featureLayers().size(), places.mirror().device());
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

    /** Where a pass over just the rows noted since the last call, in this order, keeps features; null for nowhere. */
    FeatureTarget added() {
        if (count > 0) {
            places.push(ops, count);
            count = 0;
        }
        return target;
    }

    /**
     * Where a pass over nothing but the roots keeps features: it decides one position of each request, so that its rows' places are known
     * before it. Null for nowhere.
     */
    FeatureTarget roots(Slot[] live, int requests) {
        if (features != null) {
            for (int r = 0; r < requests; r++) {
                add(live[r], live[r].committed(), r);
            }
            ops.push(both, both.host().size());
            placed = true;
        }
        return target;
    }

    /** Notes a row of the pass as a request's position; nothing if it is known: see {@link #roots}. */
    void add(Slot slot, int position, int row) {
        if (features != null && !placed) {
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
        if (!placed) {
            ops.push(both, both.host().size());
            ops.copyRows(pass.features(), rows.mirror().device(), features.rows(), places.mirror().device(), count);
        }
        if (teachers != null) {
            teachers.capture(pass.logits(), temperature, rows, places, count);
        }
        count = 0;
        placed = false;
    }

    /** Which of so many requests' rows are to be kept; null where none are for teaching. */
    CaptureQuota quota(int requests) {
        return reader == null ? null : new CaptureQuota(requests, captureRows);
    }

    /** A finished request's rows, in memory of their own, or only how many there are; null where none are for teaching. */
    CapturedRows read(Slot slot, boolean kept) {
        return reader == null ? null : kept ? reader.read(slot) : CapturedRows.dropped(slot.committed(), slot.promptLength() - 1);
    }
}
