package org.respec.kernels.cpu;

import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;

/**
 * Weights in the order in which {@link PanelKernel} reads them: panels of {@link PanelKernel#WIDTH} outputs, filled up with zeros
 * to an even number of panels, since kernels of one or two rows take two at a time; in a panel, for each input, the outputs' weights
 * side by side.
 *
 * @param data F32 [panels x inputs * WIDTH]
 */
record CpuPackedMatrix(int outputs, int inputs, Tensor data) implements PackedMatrix {
    static int panels(int outputs) {
        return 2 * Math.ceilDiv(outputs, 2 * PanelKernel.WIDTH);
    }

    /** Bytes of one panel. */
    long panelBytes() {
        return data.cols() * 4L;
    }
}
