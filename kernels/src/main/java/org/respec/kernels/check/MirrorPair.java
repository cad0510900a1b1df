package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;

/** The same mirror on the CPU and on a device; both start with the same poison, so that a whole comparison also finds stray writes. */
final class MirrorPair {
    private static final int POISON = 0x5ad5ad5a;

    private final Ops device;
    private final HostMirror truthMirror;
    private final HostMirror deviceMirror;

    MirrorPair(Ops device, HostMirror truthMirror, HostMirror deviceMirror) {
        this.device = device;
        this.truthMirror = truthMirror;
        this.deviceMirror = deviceMirror;
        for (long at = 0; at < size(); at++) {
            if (truthMirror.host().dtype() == DType.I64) {
                setLong(at, (long) POISON << 32 | POISON);
            } else {
                setInt(at, POISON);
            }
        }
        push();
    }

    HostMirror truth() {
        return truthMirror;
    }

    HostMirror device() {
        return deviceMirror;
    }

    private long size() {
        return truthMirror.host().size();
    }

    void setInt(long at, int value) {
        truthMirror.host().host().setAtIndex(ValueLayout.JAVA_INT, at, value);
        deviceMirror.host().host().setAtIndex(ValueLayout.JAVA_INT, at, value);
    }

    void setLong(long at, long value) {
        truthMirror.host().host().setAtIndex(ValueLayout.JAVA_LONG, at, value);
        deviceMirror.host().host().setAtIndex(ValueLayout.JAVA_LONG, at, value);
    }

    void push() {
        device.push(deviceMirror, size());
    }

    void pull() {
        device.pull(deviceMirror, size());
    }

    int want(long at) {
        return truthMirror.host().host().getAtIndex(ValueLayout.JAVA_INT, at);
    }

    long wantLong(long at) {
        return truthMirror.host().host().getAtIndex(ValueLayout.JAVA_LONG, at);
    }

    /** The device's word, after {@link #pull}. */
    int got(long at) {
        return deviceMirror.host().host().getAtIndex(ValueLayout.JAVA_INT, at);
    }

    float wantFloat(long at) {
        return Float.intBitsToFloat(want(at));
    }

    /** Fails unless every bit is equal. */
    void same(CheckBench bench, String what) {
        pull();
        long words = size() * truthMirror.host().dtype().bytes() / 4;
        for (long at = 0; at < words; at++) {
            if (got(at) != want(at)) {
                throw bench.failure(what + ", 32-bit word " + at + " of " + deviceMirror.device() + ": expected " + want(at) + ", got "
                    + got(at));
            }
        }
        bench.require(true, what);
    }

    /** Fails unless every float is within {@code absolute + relative * |want|}, or has the same bits. */
    void near(CheckBench bench, String what, double relative, double absolute) {
        pull();
        for (long at = 0; at < size(); at++) {
            if (got(at) != want(at)) {
                bench.near(what + ", element " + at, wantFloat(at), Float.intBitsToFloat(got(at)), relative, absolute);
            }
        }
        bench.require(true, what);
    }
}
