package org.respec.engine.rollout;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;

/** Bounds-checked element access to the host side of a mirror, without allocation. */
final class HostView {
    private final HostMirror mirror;
    private final MemorySegment segment;

    HostView(HostMirror mirror) {
        this.mirror = mirror;
        this.segment = mirror.host().host();
    }

    HostMirror mirror() {
        return mirror;
    }

    int getInt(long index) {
        return segment.getAtIndex(ValueLayout.JAVA_INT, index);
    }

    void setInt(long index, int value) {
        segment.setAtIndex(ValueLayout.JAVA_INT, index, value);
    }

    float getFloat(long index) {
        return segment.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    }

    void setFloat(long index, float value) {
        segment.setAtIndex(ValueLayout.JAVA_FLOAT, index, value);
    }

    void setLong(long index, long value) {
        segment.setAtIndex(ValueLayout.JAVA_LONG, index, value);
    }

    /** Sends the first {@code elements} elements to the device. */
    void push(Ops ops, long elements) {
        ops.push(mirror, elements);
    }
}
