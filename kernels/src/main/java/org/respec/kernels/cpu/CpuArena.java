package org.respec.kernels.cpu;

import org.respec.bindings.memory.HostArena;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Tensors in host memory. */
final class CpuArena implements TensorArena {
    private final HostArena memory;

    CpuArena(String name) {
        this.memory = new HostArena(name);
    }

    @Override
    public Tensor allocate(DType dtype, int rows, int cols) {
        long elements = Math.multiplyExact((long) rows, (long) cols);
        return new Tensor(dtype, rows, cols, cols, 0, new HostStorage(memory, Math.multiplyExact(elements, dtype.bytes())));
    }

    @Override
    public HostMirror mirror(DType dtype, int rows, int cols) {
        Tensor tensor = allocate(dtype, rows, cols);
        return new HostMirror(tensor, tensor);
    }

    @Override
    public long bytes() {
        return memory.bytes();
    }

    @Override
    public void close() {
        memory.close();
    }
}
