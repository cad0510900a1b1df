package org.respec.engine.rl;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Per row of a training pass: the token it is to predict, what its loss is made of, and the log-probabilities that come out. */
final class PolicyRows implements AutoCloseable {
    private final Ops ops;
    private final TensorArena arena;
    private final HostMirror targets;
    private final HostMirror weights;
    private final HostMirror advantages;
    private final HostMirror old;
    private final HostMirror rollout;
    private final HostMirror reference;
    private final HostMirror logProbs;
    private int rows;

    PolicyRows(Ops ops, int maxRows) {
        this.ops = ops;
        arena = ops.arena("policy loss");
        targets = arena.mirror(DType.I32, 1, maxRows);
        weights = arena.mirror(DType.F32, 1, maxRows);
        advantages = arena.mirror(DType.F32, 1, maxRows);
        old = arena.mirror(DType.F32, 1, maxRows);
        rollout = arena.mirror(DType.F32, 1, maxRows);
        reference = arena.mirror(DType.F32, 1, maxRows);
        logProbs = arena.mirror(DType.F32, 1, maxRows);
    }

    Tensor targets() {
        return targets.device();
    }

    Tensor logProbs() {
        return logProbs.device();
    }

    /** Where the reference policy's log-probabilities go before {@link #terms}. */
    Tensor reference() {
        return reference.device();
    }

    void target(int row, int token) {
        targets.host().host().setAtIndex(ValueLayout.JAVA_INT, row, token);
    }

    void pushTargets(int count) {
        ops.push(targets, count);
    }

    /** Begins a new pass's rows. */
    void begin() {
        rows = 0;
    }

    /** Adds rows of weight 0. */
    void skip(int count) {
        for (int i = 0; i < count; i++) {
            add(0, 0, 0, 0);
        }
    }

    void add(float weight, float advantage, float oldLogProb, float rolloutLogProb) {
        set(weights, weight);
        set(advantages, advantage);
        set(old, oldLogProb);
        set(rollout, rolloutLogProb);
        rows++;
    }

    private void set(HostMirror mirror, float value) {
        mirror.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, rows, value);
    }

    /**
     * Brings the rows to the device.
     *
     * @param relative whether ratios are relative to the old log-probabilities rather than to the current ones
     * @param cap largest importance weight; 0 for none
     */
    PolicyTerms terms(PolicyLoss loss, boolean relative, float cap) {
        ops.push(weights, rows);
        ops.push(advantages, rows);
        ops.push(old, rows);
        ops.push(rollout, rows);
        return new PolicyTerms(weights.device(), advantages.device(), relative ? old.device() : null,
            loss.klCoefficient() == 0 ? null : reference.device(), cap > 0 ? rollout.device() : null, loss.clipLow(), loss.clipHigh(),
            loss.klCoefficient(), cap);
    }

    float[] pullLogProbs(int count) {
        return pull(logProbs, count);
    }

    float[] pullReference(int count) {
        return pull(reference, count);
    }

    private float[] pull(HostMirror mirror, int count) {
        ops.pull(mirror, count);
        float[] values = new float[count];
        MemorySegment.copy(mirror.host().host(), ValueLayout.JAVA_FLOAT, 0, values, 0, count);
        return values;
    }

    @Override
    public void close() {
        arena.close();
    }
}
