package org.respec.kernels.gpu;

import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Tensors in device memory, mirrors with a page-locked side. */
final class GpuArena implements TensorArena {
    private final GpuContext gpu;
    private final String name;
    private final List<GpuMemory> onDevice = new ArrayList<>();
    private final List<PinnedMemory> onHost = new ArrayList<>();
    private long bytes;
    private boolean closed;

    GpuArena(GpuContext gpu, String name) {
        this.gpu = gpu;
        this.name = name;
    }

    @Override
    public Tensor allocate(DType dtype, int rows, int cols) {
        checkOpen();
        long size = size(dtype, rows, cols);
        GpuMemory memory = gpu.allocate(Math.max(size, 1));
        onDevice.add(memory);
        bytes += size;
        return new Tensor(dtype, rows, cols, cols, 0, new GpuStorage(memory, name, size));
    }

    @Override
    public Tensor pinned(DType dtype, int rows, int cols) {
        checkOpen();
        long size = size(dtype, rows, cols);
        PinnedMemory memory = gpu.driver().allocatePinned(Math.max(size, 1));
        onHost.add(memory);
        return new Tensor(dtype, rows, cols, cols, 0, new PinnedStorage(memory, name, size));
    }

    @Override
    public HostMirror mirror(DType dtype, int rows, int cols) {
        Tensor device = allocate(dtype, rows, cols);
        return new HostMirror(pinned(dtype, rows, cols), device);
    }

    private static long size(DType dtype, int rows, int cols) {
        return Math.multiplyExact(Math.multiplyExact((long) rows, (long) cols), dtype.bytes());
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("arena " + name + " is closed");
        }
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            gpu.stream().synchronize();
            onDevice.forEach(GpuMemory::close);
            onHost.forEach(PinnedMemory::close);
        }
    }
}
