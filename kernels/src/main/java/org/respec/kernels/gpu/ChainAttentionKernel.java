package org.respec.kernels.gpu;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;

/** Launches {@code chain_attention.cu}. */
final class ChainAttentionKernel {
    /** {@code CHAIN_STEPS} of {@code chain.cuh}. */
    static final int STEPS = TreeBatch.MAX_DEPTH + 1;
    private static final int[] HEAD_DIMS = {32, 64, 96, 128, 256};
    private static final int WARP = 32;
    private static final List<Variant> VARIANTS = variants();

    private final GpuContext gpu;
    private final LoadedKernel[] kernels;
    private final Arguments arguments;

    /**
     * A specialisation and how it is launched. Tiles are chosen so that accumulators stay in registers on every architecture and shared
     * memory fits in the 99 KiB that every GPU since Ampere has.
     *
     * @param queries rows of a block
     * @param threads of a block
     * @param sharedBytes of a block
     */
    private record Variant(KernelSpec spec, int queries, int threads, int sharedBytes) {
        static Variant of(int headDim, boolean half) {
            if (half) {
                return headDim == 256 ? of(headDim, true, 64, 32, 1) : of(headDim, true, 128, headDim == 128 ? 48 : 64, 2);
            }
            return of(headDim, false, 64, headDim <= 64 ? 64 : headDim <= 128 ? 32 : 16, 1);
        }

        /** {@code keys} rows pass through shared memory at once; a warp has {@code perWarp} tiles of 16 rows. */
        private static Variant of(int headDim, boolean half, int queries, int keys, int perWarp) {
            KernelSpec spec = KernelSpec.of("chain_attention.cu", "chain_attention").with("BF16", half ? 1 : 0).with("HEAD_DIM", headDim)
                .with("QUERY_TILE", queries).with("KEY_TILE", keys).with("M_TILES", perWarp);
            return new Variant(spec, queries, queries / (16 * perWarp) * WARP, (queries + 2 * keys) * (headDim * (half ? 2 : 4) + 16));
        }
    }

    ChainAttentionKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, specs());
        this.arguments = gpu.arguments(16 * STEPS + 48);
    }

    private static List<Variant> variants() {
        List<Variant> variants = new ArrayList<>();
        for (int headDim : HEAD_DIMS) {
            variants.add(Variant.of(headDim, false));
            variants.add(Variant.of(headDim, true));
        }
        return List.copyOf(variants);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return VARIANTS.stream().map(Variant::spec).toList();
    }

    /** Place of a head size among those there are specialisations for, or a negative number. */
    static int headDimIndex(int headDim) {
        return Arrays.binarySearch(HEAD_DIMS, headDim);
    }

    /** Those head sizes, in order. */
    static int[] headDims() {
        return HEAD_DIMS.clone();
    }

    void launch(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows) {
        if (rows == 0) {
            return;
        }
        boolean half = out.dtype() == DType.BF16;
        int index = 2 * headDimIndex(shape.headDim()) + (half ? 1 : 0);
        Variant variant = VARIANTS.get(index);
        Arguments a = arguments.begin();
        for (int i = 0; i < STEPS; i++) {
            a.address(steps[Math.min(i, depth)]);
        }
        for (int i = 0; i < STEPS; i++) {
            a.integer64(steps[Math.min(i, depth)].rowStride());
        }
        boolean wide = aligned(steps[0], 16) && aligned(steps[depth], 16);
        boolean pairs = aligned(out, 2 * out.dtype().bytes());
        for (int i = 0; i <= depth; i++) {
            pairs &= aligned(steps[i], 2 * out.dtype().bytes());
        }
        a.address(out).integer64(out.rowStride()).address(spans.starts().device()).integer(sequences).integer(depth).integer(shape.heads())
            .integer(shape.kvHeads()).real((float) (1 / (Math.sqrt(shape.headDim()) * Math.log(2))))
            .integer((wide ? 1 : 0) + (pairs ? 2 : 0));
        gpu.stream().launch(kernels[index].get(), rows / variant.queries + sequences, shape.heads(), 1, variant.threads, 1,
            variant.sharedBytes, a.end());
    }

    /** Whether every row begins at a multiple of {@code bytes}. */
    static boolean aligned(Tensor tensor, int bytes) {
        return tensor.address() % bytes == 0 && tensor.rowStride() * tensor.dtype().bytes() % bytes == 0;
    }
}
