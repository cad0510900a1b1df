package org.respec.engine.rollout;

import org.respec.engine.model.FeatureTarget;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * The actor's hidden features of every live request, by position, so that the drafter can be extended over tokens it missed and
 * taught later. A group's shared prefix has a place of its own.
 */
final class FeatureStore {
    private final Tensor rows;
    private final int maxBatch;
    private final int maxLength;
    private final int[] freeGroups;
    private int free;

    FeatureStore(TensorArena arena, DType dtype, int maxBatch, int maxLength, int width) {
        this.maxBatch = maxBatch;
        this.maxLength = maxLength;
        this.rows = arena.allocate(dtype, Math.multiplyExact(2 * maxBatch, maxLength), width);
        this.freeGroups = new int[maxBatch];
        for (int i = 0; i < maxBatch; i++) {
            freeGroups[i] = maxBatch - 1 - i;
        }
        this.free = maxBatch;
    }

    /** [places x width]. */
    Tensor rows() {
        return rows;
    }

    /** Its rows as where a pass keeps the features of {@code layers} layers. */
    FeatureTarget target(int layers, Tensor places) {
        return FeatureTarget.in(rows, layers, places);
    }

    void openGroup(GroupState group) {
        group.featurePlace = freeGroups[--free];
    }

    void closeGroup(GroupState group) {
        freeGroups[free++] = group.featurePlace;
        group.featurePlace = -1;
    }

    /**
     * Row of a request's position. What requests that began together draw in a step lies side by side: a step writes rows that are in no
     * cache, and writing 64 of them far from each other took 25 us for the bundled model, and so 16.
     */
    int row(Slot slot, int position) {
        int prefix = slot.group.prefixLength();
        return position < prefix ? (maxLength + position) * maxBatch + slot.group.featurePlace
            : (position - prefix) * maxBatch + slot.index;
    }

    /** Fetches a request's features at positions 0 to {@code count - 1} into the leading rows of {@code target}, of the store's type. */
    void gather(Ops ops, Slot slot, int count, HostView indices, Tensor target) {
        for (int position = 0; position < count; position++) {
            indices.setInt(position, row(slot, position));
        }
        indices.push(ops, count);
        ops.copyRows(rows, indices.mirror().device(), target, null, count);
    }
}
