package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuEvent;
import org.respec.kernels.StageClock;

/** The device's clock at two points of the stream. */
final class GpuStageClock implements StageClock {
    private final GpuContext gpu;
    private final GpuEvent begun;
    private final GpuEvent ended;

    GpuStageClock(GpuContext gpu) {
        this.gpu = gpu;
        begun = gpu.driver().event();
        ended = gpu.driver().event();
    }

    @Override
    public void begin() {
        gpu.stream().record(begun);
    }

    @Override
    public void end() {
        gpu.stream().record(ended);
    }

    @Override
    public long nanos() {
        return Math.round(1e9 * ended.secondsSince(begun));
    }

    @Override
    public void close() {
        ended.close();
        begun.close();
    }
}
