package org.respec.kernels;

/** The host's clock, where operators are done when they return. */
final class HostStageClock implements StageClock {
    private long begun;
    private long ended;

    @Override
    public void begin() {
        begun = System.nanoTime();
    }

    @Override
    public void end() {
        ended = System.nanoTime();
    }

    @Override
    public long nanos() {
        return ended - begun;
    }

    @Override
    public void close() {
        // Owns nothing.
    }
}
