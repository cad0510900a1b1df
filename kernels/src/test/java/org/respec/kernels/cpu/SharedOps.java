package org.respec.kernels.cpu;

import java.util.List;
import org.respec.kernels.Ops;

/**
 * Operators on one, two and three threads, made once for all tests: making one hashes the BLAS library, a third of a second each.
 * Sharing them also shows whether a call leaves something behind for the next.
 */
final class SharedOps {
    private static final List<Ops> BY_THREADS = List.of(new CpuOps(1), new CpuOps(2), new CpuOps(3));

    private SharedOps() {
    }

    static Ops on(int threads) {
        return BY_THREADS.get(threads - 1);
    }
}
