package org.respec.kernels.gpu;

import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/**
 * A copy of a weight on the device, row-major without gaps.
 *
 * @param data F32 or BF16 [outputs x inputs]
 */
record GpuPackedMatrix(Tensor data) implements PackedMatrix {
    @Override
    public int outputs() {
        return data.rows();
    }

    @Override
    public int inputs() {
        return data.cols();
    }
}
