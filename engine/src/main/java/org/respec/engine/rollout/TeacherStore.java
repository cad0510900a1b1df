package org.respec.engine.rollout;

import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** The actor's likeliest next tokens at every decided position of every live request, in the places of {@link FeatureStore}. */
final class TeacherStore {
    private final Ops ops;
    private final Tensor ids;
    private final Tensor logProbs;
    private final Tensor tails;
    private final Tensor newIds;
    private final Tensor newLogProbs;
    private final Tensor newTails;
    private final Tensor newTailRows;
    private final int topK;

    TeacherStore(Ops ops, TensorArena arena, RolloutLimits limits, int maxRows) {
        this.ops = ops;
        this.topK = limits.captureTopK();
        int places = Math.multiplyExact(limits.maxBatch(), limits.maxLength());
        ids = arena.allocate(DType.I32, places, topK);
        logProbs = arena.allocate(DType.F32, places, topK);
        tails = arena.allocate(DType.F32, places, 1);
        newIds = arena.allocate(DType.I32, maxRows, topK);
        newLogProbs = arena.allocate(DType.F32, maxRows, topK);
        newTails = arena.allocate(DType.F32, 1, maxRows);
        newTailRows = newTails.reshape(maxRows, 1);
    }

    int topK() {
        return topK;
    }

    Tensor ids() {
        return ids;
    }

    Tensor logProbs() {
        return logProbs;
    }

    Tensor tails() {
        return tails;
    }

    /** Keeps the teacher data of logits rows {@code rows} at {@code places}. */
    void capture(Tensor logits, float temperature, HostView rows, HostView places, int count) {
        ops.topLogProbs(logits, temperature, rows.mirror().device(), count, newIds, newLogProbs, newTails);
        Tensor to = places.mirror().device();
        ops.copyRows(newIds, null, ids, to, count);
        ops.copyRows(newLogProbs, null, logProbs, to, count);
        ops.copyRows(newTailRows, null, tails, to, count);
    }
}
