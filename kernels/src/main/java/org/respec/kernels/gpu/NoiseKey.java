package org.respec.kernels.gpu;

/** Writes {@code NoiseKey} of {@code noise.cuh}: the round keys of Philox4x32-10. */
final class NoiseKey {
    static final int BYTES = 80;
    private static final int ROUNDS = 10;
    private static final int W0 = 0x9E3779B9;
    private static final int W1 = 0xBB67AE85;

    private NoiseKey() {
    }

    static Arguments write(Arguments arguments, long seed) {
        for (int round = 0; round < ROUNDS; round++) {
            arguments.integer((int) seed + round * W0).integer((int) (seed >>> 32) + round * W1);
        }
        return arguments;
    }
}
