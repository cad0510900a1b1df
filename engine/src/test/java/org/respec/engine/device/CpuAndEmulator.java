package org.respec.engine.device;

import static org.junit.jupiter.api.Assumptions.abort;

import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** The CPU's operators and the emulated GPU's. */
record CpuAndEmulator(Ops cpu, Ops emulator) implements AutoCloseable {
    /** Skips the tests where the emulator finds no C++ compiler. */
    static CpuAndEmulator open() {
        Ops emulator = null;
        try {
            emulator = Backends.open("emulator", 1);
        } catch (IllegalArgumentException e) {
            abort(e.getMessage());
        }
        return new CpuAndEmulator(Backends.open("cpu", 2), emulator);
    }

    @Override
    public void close() {
        cpu.close();
        emulator.close();
    }
}
