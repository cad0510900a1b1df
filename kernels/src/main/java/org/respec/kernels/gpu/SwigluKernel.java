package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code swiglu.cu}, forward and gradient. */
final class SwigluKernel {
    private static final KernelSpec F32 = KernelSpec.of("swiglu.cu", "swiglu").with("BF16", 0);
    private static final KernelSpec BF16 = F32.with("BF16", 1);
    private static final KernelSpec BACKWARD_F32 = KernelSpec.of("swiglu.cu", "swiglu_backward").with("BF16", 0);
    private static final KernelSpec BACKWARD_BF16 = BACKWARD_F32.with("BF16", 1);

    private final GpuContext gpu;
    private final Arguments arguments;
    private final Arguments backwardArguments;
    private final LoadedKernel f32;
    private final LoadedKernel bf16;
    private final LoadedKernel backwardF32;
    private final LoadedKernel backwardBf16;

    SwigluKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(40);
        this.backwardArguments = gpu.arguments(56);
        this.f32 = new LoadedKernel(gpu, F32);
        this.bf16 = new LoadedKernel(gpu, BF16);
        this.backwardF32 = new LoadedKernel(gpu, BACKWARD_F32);
        this.backwardBf16 = new LoadedKernel(gpu, BACKWARD_BF16);
    }

    static List<KernelSpec> specs() {
        return List.of(F32, BF16, BACKWARD_F32, BACKWARD_BF16);
    }

    void launch(Tensor gateUp, Tensor out, int rows) {
        if (rows == 0 || out.cols() == 0) {
            return;
        }
        int perThread = 16 / out.dtype().bytes();
        int threads = Tiling.threads(out.cols(), perThread);
        int tiles = Tiling.tiles(out.cols(), threads, perThread);
        gpu.stream().launch((out.dtype() == DType.BF16 ? bf16 : f32).get(), Tiling.blocks(rows, tiles), 1, 1, threads, 1, 0,
            arguments.begin().address(gateUp).address(out).integer64(gateUp.rowStride()).integer64(out.rowStride()).integer(out.cols())
                .integer(tiles).end());
    }

    void launchBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows) {
        if (rows == 0 || dOut.cols() == 0) {
            return;
        }
        int perThread = 16 / dOut.dtype().bytes();
        int threads = Tiling.threads(dOut.cols(), perThread);
        int tiles = Tiling.tiles(dOut.cols(), threads, perThread);
        gpu.stream().launch((dOut.dtype() == DType.BF16 ? backwardBf16 : backwardF32).get(), Tiling.blocks(rows, tiles), 1, 1, threads,
            1, 0, backwardArguments.begin().address(gateUp).address(dOut).address(dGateUp).integer64(gateUp.rowStride())
                .integer64(dOut.rowStride()).integer64(dGateUp.rowStride()).integer(dOut.cols()).integer(tiles).end());
    }
}
