package org.respec.engine.rollout;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Copies a finished request's by-products from the engine's stores to host memory of their own. */
final class CaptureReader {
    private final Ops ops;
    private final FeatureStore features;
    private final TeacherStore teachers;
    private final HostView indices;
    private final Tensor gathered;
    private final HostMirror featureRows;
    private final HostMirror ids;
    private final HostMirror logProbs;
    private final HostMirror tails;

    CaptureReader(Ops ops, TensorArena arena, FeatureStore features, TeacherStore teachers, int maxLength) {
        this.ops = ops;
        this.features = features;
        this.teachers = teachers;
        indices = new HostView(arena.mirror(DType.I32, 1, maxLength));
        featureRows = arena.mirror(DType.F32, maxLength, features.rows().cols());
        gathered = features.rows().dtype() == DType.F32 ? featureRows.device()
            : arena.allocate(features.rows().dtype(), maxLength, features.rows().cols());
        ids = arena.mirror(DType.I32, maxLength, teachers.topK());
        logProbs = arena.mirror(DType.F32, maxLength, teachers.topK());
        tails = arena.mirror(DType.F32, maxLength, 1);
    }

    CapturedRows read(Slot slot) {
        int rows = slot.committed();
        int firstTaught = slot.promptLength() - 1;
        int taught = rows - firstTaught;
        features.gather(ops, slot, rows, indices, gathered);
        if (gathered != featureRows.device()) {
            ops.convert(gathered, featureRows.device(), rows);
        }
        for (int i = 0; i < taught; i++) {
            indices.setInt(i, features.row(slot, firstTaught + i));
        }
        indices.push(ops, taught);
        Tensor from = indices.mirror().device();
        ops.copyRows(teachers.ids(), from, ids.device(), null, taught);
        ops.copyRows(teachers.logProbs(), from, logProbs.device(), null, taught);
        ops.copyRows(teachers.tails(), from, tails.device(), null, taught);
        // One wait for all four.
        ops.startPull(featureRows, elements(featureRows, rows));
        ops.startPull(ids, elements(ids, taught));
        ops.startPull(logProbs, elements(logProbs, taught));
        ops.pull(tails, elements(tails, taught));
        return new CapturedRows(rows, firstTaught, copy(featureRows, rows), copy(ids, taught), copy(logProbs, taught), copy(tails, taught));
    }

    private static long elements(HostMirror mirror, int rows) {
        return (long) rows * mirror.host().cols();
    }

    private static MemorySegment copy(HostMirror mirror, int rows) {
        // Lives as long as the trajectory is reachable: finished responses are handed to the caller, who may drop them at any time.
        MemorySegment copy = Arena.ofAuto().allocate(elements(mirror, rows) * mirror.host().dtype().bytes(), 8);
        MemorySegment.copy(mirror.host().host(), 0, copy, 0, copy.byteSize());
        return copy;
    }
}
