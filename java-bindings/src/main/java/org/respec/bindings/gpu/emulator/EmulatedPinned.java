package org.respec.bindings.gpu.emulator;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.respec.bindings.gpu.PinnedMemory;

/** Host memory that kernels may use as well. */
final class EmulatedPinned implements PinnedMemory {
    private final EmulatorDriver driver;
    private final long address;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    EmulatedPinned(EmulatorDriver driver, long address, long bytes) {
        this.driver = driver;
        this.address = address;
        this.segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
    }

    @Override
    public MemorySegment segment() {
        if (!isAlive()) {
            throw new IllegalStateException("page-locked memory of " + segment.byteSize() + " bytes is closed");
        }
        return segment;
    }

    @Override
    public boolean isAlive() {
        return arena.scope().isAlive();
    }

    /** Ends every use of the segment, then frees the memory. */
    @Override
    public void close() {
        if (isAlive()) {
            arena.close();
            driver.forget(this);
            driver.free(address);
        }
    }
}
