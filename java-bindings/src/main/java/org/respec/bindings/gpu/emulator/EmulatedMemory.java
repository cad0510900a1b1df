package org.respec.bindings.gpu.emulator;

import org.respec.bindings.gpu.GpuMemory;

/** A piece of an emulated device's memory. */
final class EmulatedMemory implements GpuMemory {
    private final EmulatorDriver driver;
    private final long address;
    private final long bytes;
    private boolean alive = true;

    EmulatedMemory(EmulatorDriver driver, long address, long bytes) {
        this.driver = driver;
        this.address = address;
        this.bytes = bytes;
    }

    @Override
    public long address() {
        if (!isAlive()) {
            throw new IllegalStateException("device memory of " + bytes + " bytes is closed");
        }
        return address;
    }

    /** Address of a range that was asked for, checked. */
    long address(String operation, long offset, long size) {
        if (offset < 0 || size < 0 || offset > bytes - size) {
            throw new IllegalArgumentException(operation + ": " + size + " bytes from " + offset + " on are not in device memory of "
                + bytes + " bytes");
        }
        return address() + offset;
    }

    EmulatorDriver driver() {
        return driver;
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public boolean isAlive() {
        return alive && driver.isOpen();
    }

    @Override
    public void close() {
        if (isAlive()) {
            driver.free(address);
        }
        alive = false;
    }
}
