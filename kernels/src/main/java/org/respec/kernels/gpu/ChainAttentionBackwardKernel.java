package org.respec.kernels.gpu;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/** Launches {@code chain_attention_backward.cu}: queries, then keys, then the draft steps' keys. */
final class ChainAttentionBackwardKernel {
    private static final String FILE = "chain_attention_backward.cu";
    private static final int STEPS = ChainAttentionKernel.STEPS;
    private static final int WARP = 32;
    private static final int DRAFT_ROWS = 4;
    private static final List<Variants> VARIANTS = variants();

    private final GpuContext gpu;
    /** Three for each of {@link #VARIANTS}. */
    private final LoadedKernel[] kernels;
    private final Arguments arguments;
    private GpuMemory workspace;

    /**
     * A specialisation and how it is launched; tiles are chosen as the forward kernel's.
     *
     * @param owned rows of a block
     * @param threads of a block
     * @param sharedBytes of a block
     */
    private record Variant(KernelSpec spec, int owned, int threads, int sharedBytes) {
        static Variant queries(int headDim, boolean half) {
            if (half) {
                return queries(headDim, true, 64, headDim <= 96 ? 64 : headDim == 128 ? 32 : 16, 2);
            }
            return headDim == 256 ? queries(headDim, false, 32, 16, 1) : queries(headDim, false, headDim <= 64 ? 64 : 32, 32, 2);
        }

        private static Variant queries(int headDim, boolean half, int owned, int passing, int stages) {
            return of(part("queries", headDim, half).with("QUERY_TILE", owned).with("KEY_TILE", passing).with("STAGES", stages), headDim,
                half, owned, passing, stages, 1);
        }

        static Variant keys(int headDim, boolean half) {
            if (half) {
                return keys(headDim, true, 64, headDim <= 64 ? 64 : headDim <= 128 ? 32 : 16, 2, headDim == 256 ? 2 : 1);
            }
            return headDim == 256 ? keys(headDim, false, 32, 16, 1, 2)
                : keys(headDim, false, headDim <= 64 ? 64 : 32, headDim <= 96 ? 32 : 16, 2, 1);
        }

        private static Variant keys(int headDim, boolean half, int owned, int passing, int stages, int split) {
            return of(part("keys", headDim, half).with("KEY_TILE", owned).with("QUERY_TILE", passing).with("STAGES", stages)
                .with("COLUMN_SPLIT", split), headDim, half, owned, passing, stages, split);
        }

        /**
         * {@code passing} rows go through shared memory at once, {@code stages} sets of them in flight; {@code split} warps share 16 rows.
         */
        private static Variant of(KernelSpec spec, int headDim, boolean half, int owned, int passing, int stages, int split) {
            return new Variant(spec, owned, owned / 16 * split * WARP, 2 * (owned + stages * passing) * (headDim * (half ? 2 : 4) + 16));
        }

        static Variant draft(int headDim, boolean half) {
            return new Variant(part("draft", headDim, half), DRAFT_ROWS, DRAFT_ROWS * WARP, 0);
        }

        private static KernelSpec part(String part, int headDim, boolean half) {
            return KernelSpec.of(FILE, "chain_attention_backward_" + part).with(part.toUpperCase(Locale.ROOT), 1)
                .with("BF16", half ? 1 : 0).with("HEAD_DIM", headDim);
        }
    }

    /** The three kernels for one head size and type. */
    private record Variants(Variant queries, Variant keys, Variant draft) {
    }

    ChainAttentionBackwardKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.kernels = LoadedKernel.of(gpu, specs());
        this.arguments = gpu.arguments(32 * STEPS + 72);
    }

    private static List<Variants> variants() {
        List<Variants> all = new ArrayList<>();
        for (int headDim : ChainAttentionKernel.headDims()) {
            for (boolean half : new boolean[] {false, true}) {
                all.add(new Variants(Variant.queries(headDim, half), Variant.keys(headDim, half), Variant.draft(headDim, half)));
            }
        }
        return List.copyOf(all);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return VARIANTS.stream().flatMap(v -> Stream.of(v.queries.spec, v.keys.spec, v.draft.spec)).toList();
    }

    void launch(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut, Tensor[] dSteps, int rows) {
        if (rows == 0) {
            return;
        }
        int index = 2 * ChainAttentionKernel.headDimIndex(shape.headDim()) + (dOut.dtype() == DType.BF16 ? 1 : 0);
        Variants variants = VARIANTS.get(index);
        MemorySegment struct = arguments(steps, depth, shape, spans, sequences, dOut, dSteps, rows);
        launch(kernels[3 * index], variants.queries, rows / variants.queries.owned + sequences, shape.heads(), struct);
        launch(kernels[3 * index + 1], variants.keys, rows / variants.keys.owned + sequences, shape.kvHeads(), struct);
        if (depth > 0) {
            launch(kernels[3 * index + 2], variants.draft, (rows + DRAFT_ROWS - 1) / DRAFT_ROWS, shape.kvHeads(), struct);
        }
    }

    private void launch(LoadedKernel kernel, Variant variant, int gridX, int gridY, MemorySegment struct) {
        gpu.stream().launch(kernel.get(), gridX, gridY, 1, variant.threads, 1, variant.sharedBytes, struct);
    }

    private MemorySegment arguments(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
            Tensor[] dSteps, int rows) {
        long softmax = 4L * Math.multiplyExact((long) shape.heads(), rows);
        reserve(2 * softmax);
        Arguments a = arguments.begin();
        for (int i = 0; i < STEPS; i++) {
            a.address(steps[Math.min(i, depth)]);
        }
        for (int i = 0; i < STEPS; i++) {
            a.integer64(steps[Math.min(i, depth)].rowStride());
        }
        for (int i = 0; i < STEPS; i++) {
            a.address(dSteps[Math.min(i, depth)]);
        }
        for (int i = 0; i < STEPS; i++) {
            a.integer64(dSteps[Math.min(i, depth)].rowStride());
        }
        int pair = 2 * dOut.dtype().bytes();
        boolean wide = ChainAttentionKernel.aligned(steps[0], 16) && ChainAttentionKernel.aligned(steps[depth], 16)
            && ChainAttentionKernel.aligned(dOut, 16);
        boolean pairs = ChainAttentionKernel.aligned(dOut, pair);
        for (int i = 0; i <= depth; i++) {
            pairs &= ChainAttentionKernel.aligned(steps[i], pair) && ChainAttentionKernel.aligned(dSteps[i], pair);
        }
        double scale = 1 / Math.sqrt(shape.headDim());
        return a.address(dOut).integer64(dOut.rowStride()).address(spans.starts().device()).address(workspace.address())
            .address(workspace.address() + softmax).integer(sequences).integer(depth).integer(shape.heads()).integer(shape.kvHeads())
            .integer(rows).integer((wide ? 1 : 0) + (pairs ? 2 : 0)).real((float) scale).real((float) (scale / Math.log(2))).end();
    }

    /** Room for each query's softmax; grows to the largest pass seen. */
    private void reserve(long bytes) {
        if (workspace == null || workspace.bytes() < bytes) {
            if (workspace != null) {
                workspace.close();
                workspace = null;
            }
            workspace = gpu.allocate(bytes);
        }
    }
}
