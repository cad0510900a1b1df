package org.respec.kernels.gpu;

import java.util.List;
import java.util.stream.Stream;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code kl_distill.cu}. */
final class KlDistillKernel {
    private static final KernelSpec TOP_K = KernelSpec.of("kl_distill.cu", "kl_distill");
    /** F32, then BF16. */
    private static final List<KernelSpec> TOP_K_SPECS = List.of(TOP_K.with("BF16", 0), TOP_K.with("BF16", 1));
    private static final KernelSpec DENSE = KernelSpec.of("kl_distill.cu", "kl_distill_dense");
    private static final String TEACHER = "TEACHER_BF16";

    private static final int PACK_BYTES = 16;
    /** Static shared memory of the kernels, rounded up. */
    private static final int STATIC_SHARED = 512;
    /** Rows past this many bytes leave no room for a second block on an H100's SM, so that one takes all threads. */
    private static final int ROW_ALONE = 96 * 1024;
    /** Bytes of shared memory that a named token takes: its id, its logit, and the teacher's log-probability. */
    private static final int NAMED_BYTES = 12;
    /** Most named tokens. */
    static final int MAX_NAMED = 2048;

    private final GpuContext gpu;
    private final LoadedKernel[] topKKernels;
    private final TypedKernels denseKernels;
    private final Arguments topK;
    private final Arguments dense;

    KlDistillKernel(GpuContext gpu) {
        this.gpu = gpu;
        topKKernels = LoadedKernel.of(gpu, TOP_K_SPECS);
        denseKernels = new TypedKernels(gpu, DENSE, TEACHER);
        topK = gpu.arguments(112);
        dense = gpu.arguments(88);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return Stream.concat(TOP_K_SPECS.stream(), TypedKernels.specs(DENSE, TEACHER).stream()).toList();
    }

    /** Shared memory that a row needs besides its stash: a bit for each token, and what is kept of each named one. */
    private static long named(int vocab, int k) {
        return (vocab + 31L) / 32 * 4 + (long) NAMED_BYTES * k;
    }

    /** Whether a vocabulary's bit map and {@code k} named tokens fit this device's shared memory. */
    boolean fits(int vocab, int k) {
        return k <= MAX_NAMED && named(vocab, k) <= shared();
    }

    private long shared() {
        return gpu.driver().device().sharedBytesPerBlock() - STATIC_SHARED;
    }

    /** @param idMap null for one vocabulary */
    void launch(Tensor logits, float inverse, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight, Tensor weights,
                Tensor losses, int rows) {
        if (rows == 0) {
            return;
        }
        int vocab = logits.cols();
        int k = ids.cols();
        boolean half = logits.dtype() == DType.BF16;
        int packs = packs(vocab, half);
        int threads = threads(packs);
        long named = named(vocab, k);
        int stash = stash(packs, threads, PACK_BYTES, shared() - named);
        int sharedBytes = Math.toIntExact((long) stash * PACK_BYTES + named);
        gpu.stream().launch(topKKernels[half ? 1 : 0].get(), rows, 1, 1, threads, 1, sharedBytes, topK.begin()
            .address(logits).address(ids).address(logProbs).address(tails).address(idMap == null ? 0 : idMap.address()).address(weights)
            .address(losses).address(gpu.faults().address()).integer64(logits.rowStride()).integer64(ids.rowStride())
            .integer64(logProbs.rowStride()).integer(vocab).integer(idMap == null ? vocab : idMap.cols()).integer(k).integer(stash)
            .real(inverse).real(tvWeight).end());
    }

    /** @param columns null for one vocabulary */
    void launchDense(Tensor logits, float inverse, Tensor teacher, float teacherInverse, Tensor columns, Tensor weights, Tensor losses,
                     int rows) {
        if (rows == 0) {
            return;
        }
        boolean half = logits.dtype() == DType.BF16;
        int packs = packs(logits.cols(), half);
        int threads = threads(packs);
        int both = PACK_BYTES + PACK_BYTES / logits.dtype().bytes() * teacher.dtype().bytes();
        int stash = stash(packs, threads, both, shared());
        GpuKernel kernel = denseKernels.get(logits.dtype(), teacher.dtype());
        gpu.stream().launch(kernel, rows, 1, 1, threads, 1, Math.multiplyExact(stash, both), dense.begin()
            .address(logits).address(teacher).address(columns == null ? 0 : columns.address()).address(weights).address(losses)
            .address(gpu.faults().address()).integer64(logits.rowStride()).integer64(teacher.rowStride()).integer(logits.cols())
            .integer(teacher.cols()).integer(stash).real(inverse).real(teacherInverse).end());
    }

    private static int packs(int vocab, boolean half) {
        int perPack = half ? 8 : 4;
        return vocab / perPack + (vocab % perPack == 0 ? 0 : 1);
    }

    /** A function of the row's size alone, in whole warps. */
    private static int threads(int packs) {
        int most = (long) packs * PACK_BYTES > ROW_ALONE ? 1024 : 512;
        return Math.min(most, (packs + 31) / 32 * 32);
    }

    /** Packs that {@code room} bytes of shared memory can keep: all of a row, or whole turns of the block. */
    private static int stash(int packs, int threads, int bytes, long room) {
        long fitting = room / bytes;
        return packs <= fitting ? packs : (int) (fitting / threads * threads);
    }
}
