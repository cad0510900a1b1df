package org.respec.kernels.gpu;

import java.lang.foreign.ValueLayout;
import java.util.List;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.PinnedMemory;
import org.respec.kernels.Tensor;

/** Launches {@code squared_norm.cu}. */
final class SquaredNormKernel {
    private static final KernelSpec PARTS = KernelSpec.of("squared_norm.cu", "squared_norm_parts");
    private static final KernelSpec TOTAL = KernelSpec.of("squared_norm.cu", "squared_norm_total");
    private static final int THREADS = 256;
    private static final int CHUNK = 16_384;

    private final GpuContext gpu;
    private final PartialSums memory;
    private final Arguments partArguments;
    private final Arguments totalArguments;
    private final LoadedKernel parts;
    private final LoadedKernel total;
    private PinnedMemory result;

    SquaredNormKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.memory = new PartialSums(gpu);
        this.partArguments = gpu.arguments(24);
        this.totalArguments = gpu.arguments(24);
        this.parts = new LoadedKernel(gpu, PARTS);
        this.total = new LoadedKernel(gpu, TOTAL);
    }

    static List<KernelSpec> specs() {
        return List.of(PARTS, TOTAL);
    }

    /** Waits for the result. */
    double launch(Tensor x) {
        if (x.size() == 0) {
            return 0;
        }
        if (result == null) {
            result = gpu.driver().allocatePinned(8);
        }
        int chunks = Math.toIntExact(Math.ceilDiv(x.size(), (long) CHUNK));
        GpuMemory sums = memory.bytes(8L * (chunks + 1));
        gpu.stream().launch(parts.get(), chunks, 1, 1, THREADS, 1, 0,
            partArguments.begin().address(x).address(sums.address() + 8).integer64(x.size()).end());
        gpu.stream().launch(total.get(), 1, 1, 1, THREADS, 1, 0,
            totalArguments.begin().address(sums.address() + 8).address(sums.address()).integer(chunks).end());
        gpu.stream().copyOut(sums, 0, result.segment(), 0, 8);
        gpu.faults().check(gpu.stream());
        return result.segment().get(ValueLayout.JAVA_DOUBLE, 0);
    }
}
