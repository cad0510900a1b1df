package org.respec.kernels.bench;

import static org.respec.kernels.bench.BenchCase.shape;

import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.Tensor;

/** The small operators of a decoder layer, at the sizes of an 8B model: hidden 4096, feed-forward 12288, 32 heads over 8 of 128. */
final class LayerCases {
    private static final int BF16 = DType.BF16.bytes();

    private LayerCases() {
    }

    static List<BenchCase> all(boolean tiny) {
        List<BenchCase> cases = new ArrayList<>();
        int[] rows = tiny ? new int[] {3} : new int[] {64, 1024, 16384};
        AttentionShape attention = tiny ? new AttentionShape(2, 1, 32) : new AttentionShape(32, 8, 128);
        for (int r : rows) {
            cases.add(rmsNorm(r, tiny ? 64 : 4096));
        }
        for (int r : rows) {
            cases.add(copyRmsNorm(r, tiny ? 64 : 4096));
        }
        for (int r : rows) {
            cases.add(swiglu(r, tiny ? 64 : 12288));
        }
        for (int r : rows) {
            cases.add(embedding(r, tiny ? 64 : 4096, tiny ? 100 : 151_936));
        }
        for (int r : rows) {
            cases.add(qkNormRope(r, attention));
        }
        for (int r : rows) {
            cases.add(kvAppend(r, attention));
        }
        for (int r : rows) {
            cases.add(qkNormRopeAppend(r, attention));
        }
        return cases;
    }

    /** Reads x, writes out; a square, a sum and two products an element. */
    private static BenchCase rmsNorm(int rows, int cols) {
        long elements = (long) rows * cols;
        return new BenchCase("rmsNorm", shape("rows", rows, "cols", cols), DType.BF16, 2 * elements * BF16, 4 * elements,
            2 * elements * BF16, in -> {
                Tensor x = in.normal(DType.BF16, rows, cols);
                Tensor weight = in.normal(DType.BF16, 1, cols);
                Tensor out = in.empty(DType.BF16, rows, cols);
                return () -> in.ops().rmsNorm(x, weight, 1e-6f, out, rows);
            });
    }

    /** As above, and writes a copy of x. */
    private static BenchCase copyRmsNorm(int rows, int cols) {
        long elements = (long) rows * cols;
        return new BenchCase("copyRmsNorm", shape("rows", rows, "cols", cols), DType.BF16, 3 * elements * BF16, 4 * elements,
            3 * elements * BF16, in -> {
                Tensor x = in.normal(DType.BF16, rows, cols);
                Tensor weight = in.normal(DType.BF16, 1, cols);
                Tensor copy = in.empty(DType.BF16, rows, cols);
                Tensor out = in.empty(DType.BF16, rows, cols);
                return () -> in.ops().copyRmsNorm(x, weight, 1e-6f, copy, null, out, rows);
            });
    }

    /** Reads gate and up, writes out; about 5 operations an element of out, the exponential counted as one. */
    private static BenchCase swiglu(int rows, int cols) {
        long elements = (long) rows * cols;
        return new BenchCase("swiglu", shape("rows", rows, "cols", cols), DType.BF16, 3 * elements * BF16, 5 * elements,
            3 * elements * BF16, in -> {
                Tensor gateUp = in.normal(DType.BF16, rows, 2 * cols);
                Tensor out = in.empty(DType.BF16, rows, cols);
                return () -> in.ops().swiglu(gateUp, out, rows);
            });
    }

    /** Reads a row of the table for each token, writes out. */
    private static BenchCase embedding(int rows, int cols, int vocab) {
        long elements = (long) rows * cols;
        return new BenchCase("embedding", shape("rows", rows, "cols", cols, "vocab", vocab), DType.BF16, 2 * elements * BF16, 0,
            (elements + (long) vocab * cols) * BF16, in -> {
                Tensor table = in.normal(DType.BF16, vocab, cols);
                Tensor tokens = in.indices(rows, vocab).device();
                Tensor out = in.empty(DType.BF16, rows, cols);
                return () -> in.ops().embedding(table, tokens, out, rows);
            });
    }

    /** Reads and writes fused rows, reads a row of the table for each; about 10 operations an element of queries and keys. */
    private static BenchCase qkNormRope(int rows, AttentionShape attention) {
        long elements = (long) rows * attention.fusedWidth();
        long rope = 4L * rows * attention.headDim();
        return new BenchCase("qkNormRope", shape("rows", rows, "heads", attention.heads(), "kvHeads", attention.kvHeads(), "headDim",
            attention.headDim()), DType.BF16, 2 * elements * BF16 + rope, 10L * rows * (attention.queryWidth() + attention.kvWidth()),
            2 * elements * BF16, in -> {
                int positions = 4096;
                Tensor qkv = in.normal(DType.BF16, rows, attention.fusedWidth());
                Tensor qWeight = in.normal(DType.BF16, 1, attention.headDim());
                Tensor kWeight = in.normal(DType.BF16, 1, attention.headDim());
                Tensor at = in.indices(rows, positions).device();
                Tensor table = in.normal(DType.F32, positions, attention.headDim());
                Tensor out = in.empty(DType.BF16, rows, attention.fusedWidth());
                return () -> in.ops().qkNormRope(qkv, attention, qWeight, kWeight, 1e-6f, at, 0, table, out, rows);
            });
    }

    /** Reads keys and values, writes them to the cache. */
    private static BenchCase kvAppend(int rows, AttentionShape attention) {
        long elements = (long) rows * 2 * attention.kvWidth();
        return new BenchCase("kvAppend", shape("rows", rows, "kvHeads", attention.kvHeads(), "headDim", attention.headDim()), DType.BF16,
            2 * elements * BF16, 0, ((long) rows * attention.fusedWidth() + 2 * elements) * BF16, in -> {
                int pages = rows / 16 + 1;
                KvLayout layout = new KvLayout(DType.BF16, 1, attention.kvHeads(), attention.headDim(), 16, pages);
                KvStore kv = KvStore.allocate(in.arena(), layout, in.ints(1, pages, i -> i));
                Tensor qkv = in.normal(DType.BF16, rows, attention.fusedWidth());
                RowBatch batch = RowBatch.allocate(in.arena(), rows, 1);
                int[] slots = in.permutation(pages * 16);
                in.fill(batch.slots(), i -> slots[i]);
                return () -> in.ops().kvAppend(qkv, attention, kv, 0, batch, rows);
            });
    }

    /** Reads fused rows, writes queries back and keys and values to the cache: what {@code qkNormRope} and {@code kvAppend} do in two. */
    private static BenchCase qkNormRopeAppend(int rows, AttentionShape attention) {
        long elements = (long) rows * attention.fusedWidth();
        long rope = 4L * rows * attention.headDim();
        return new BenchCase("qkNormRopeAppend", shape("rows", rows, "heads", attention.heads(), "kvHeads", attention.kvHeads(), "headDim",
            attention.headDim()), DType.BF16, 2 * elements * BF16 + rope, 10L * rows * (attention.queryWidth() + attention.kvWidth()),
            (elements + 2L * rows * attention.kvWidth()) * BF16, in -> {
                int positions = 4096;
                int pages = rows / 16 + 1;
                KvLayout layout = new KvLayout(DType.BF16, 1, attention.kvHeads(), attention.headDim(), 16, pages);
                KvStore kv = KvStore.allocate(in.arena(), layout, in.ints(1, pages, i -> i));
                Tensor qkv = in.normal(DType.BF16, rows, attention.fusedWidth());
                Tensor qWeight = in.normal(DType.BF16, 1, attention.headDim());
                Tensor kWeight = in.normal(DType.BF16, 1, attention.headDim());
                Tensor table = in.normal(DType.F32, positions, attention.headDim());
                RowBatch batch = RowBatch.allocate(in.arena(), rows, 1);
                int[] slots = in.permutation(pages * 16);
                in.fill(batch.slots(), i -> slots[i]);
                in.fill(batch.positions(), i -> i % positions);
                return () -> in.ops().qkNormRopeAppend(qkv, attention, qWeight, kWeight, 1e-6f, table, kv, 0, batch, rows);
            });
    }
}
