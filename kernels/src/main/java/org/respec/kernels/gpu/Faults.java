package org.respec.kernels.gpu;

import java.lang.foreign.ValueLayout;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.PinnedMemory;

/**
 * What kernels found wrong with values that only the device knows: they write a code and two details to one place
 * ({@code faults.cuh}), the first writer wins, and the host looks there whenever it waits for the device anyway.
 */
final class Faults implements AutoCloseable {
    /** Codes of {@code faults.cuh}. */
    private static final int LOGITS_NAN = 1;
    private static final int LOGITS_INFINITE = 2;
    private static final int INDEX = 3;
    private static final int NO_PAGE = 4;
    private static final int BUDGET = 5;
    private static final int BYTES = 16;

    private final GpuMemory device;
    private final PinnedMemory host;

    Faults(GpuDriver driver) {
        device = driver.allocate(BYTES);
        host = driver.allocatePinned(BYTES);
    }

    /** Where kernels write: int code, int kernel, int row, int value. */
    long address() {
        return device.address();
    }

    /** Waits for the stream and throws what a kernel wrote, if one did. */
    void check(GpuStream stream) {
        stream.copyOut(device, 0, host.segment(), 0, BYTES);
        stream.synchronize();
        int code = host.segment().get(ValueLayout.JAVA_INT, 0);
        if (code == 0) {
            return;
        }
        int row = host.segment().get(ValueLayout.JAVA_INT, 8);
        int value = host.segment().get(ValueLayout.JAVA_INT, 12);
        stream.fill(device, 0, 0, BYTES / 4);
        stream.synchronize();
        throw switch (code) {
            case LOGITS_NAN -> new IllegalStateException("logits of row " + row + " hold a NaN: the model's weights are broken");
            case LOGITS_INFINITE -> new IllegalStateException("logits of row " + row + " have the maximum "
                + Float.intBitsToFloat(value) + ": the model's weights are broken");
            case INDEX -> new IllegalArgumentException("a kernel found the index " + value + " out of range in row " + row);
            case NO_PAGE -> new IllegalArgumentException("draftSelect: place " + value + " of request " + row + " has no page");
            case BUDGET -> new IllegalArgumentException("draftBudgets or draftSelect: request " + row + " with a pool or budget of "
                + value + " does not fit its nodes and rows");
            default -> new IllegalStateException("a kernel wrote the unknown fault code " + code);
        };
    }

    @Override
    public void close() {
        device.close();
        host.close();
    }
}
