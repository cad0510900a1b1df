package org.respec.kernels.bench;

import static org.respec.kernels.bench.BenchCase.shape;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.Tensor;
import org.respec.kernels.TreeBatch;

/** What reads logits while tokens are generated. FLOPs are those of the softmax, about 4 an element; noise is integer work. */
final class SamplingCases {
    private static final int BF16 = DType.BF16.bytes();

    private SamplingCases() {
    }

    static List<BenchCase> all(boolean tiny) {
        List<BenchCase> cases = new ArrayList<>();
        int vocab = tiny ? 100 : 151_936;
        for (int rows : tiny ? new int[] {2} : new int[] {1, 64, 1024}) {
            cases.add(sample(DType.BF16, rows, vocab, SamplingParams.temperature(1f)));
        }
        // The engine's logits are F32.
        cases.add(sample(DType.F32, tiny ? 2 : 64, vocab, SamplingParams.temperature(1f)));
        cases.add(sample(DType.BF16, tiny ? 2 : 64, vocab, SamplingParams.GREEDY));
        cases.add(sample(DType.BF16, tiny ? 2 : 64, vocab, new SamplingParams(1f, 50, 0.95f)));
        for (int requests : tiny ? new int[] {2} : new int[] {1, 16, 64}) {
            cases.add(draftExpand(requests, tiny ? 60 : 32_000, 4, 1));
            cases.add(draftExpand(requests, tiny ? 60 : 32_000, 4, 2));
        }
        cases.add(draftExpand(tiny ? 1 : 64, vocab, 4, 1));
        for (int k : tiny ? new int[] {4} : new int[] {16, 64, 128}) {
            cases.add(topLogProbs(tiny ? 2 : 1024, vocab, k));
        }
        return cases;
    }

    /** Reads the logits, writes a token and a log-probability a row. Shape: temperature times 100, top-p times 100. */
    private static BenchCase sample(DType dtype, int rows, int vocab, SamplingParams params) {
        long elements = (long) rows * vocab;
        long bytes = elements * dtype.bytes();
        return new BenchCase("sample", shape("rows", rows, "vocab", vocab, "temperature100", Math.round(100 * params.temperature()), "topK",
            params.topK(), "topP100", Math.round(100 * params.topP())), dtype, bytes + 8L * rows, 4 * elements, bytes, in -> {
                Tensor logits = in.normal(dtype, rows, vocab);
                RowBatch batch = RowBatch.allocate(in.arena(), rows, rows);
                in.fill(batch.positions(), i -> 100 + i);
                in.fill(batch.rowRequests(), i -> i);
                in.fill(batch.firstRows(), i -> i);
                requestIds(in, batch);
                Tensor tokens = in.empty(DType.I32, 1, rows);
                Tensor logProbs = in.empty(DType.F32, 1, rows);
                return () -> in.ops().sample(logits, batch, params, 7, tokens, logProbs, rows);
            });
    }

    /** Reads the logits of every expanded node once: one a request at level 1, {@code branch} at each level below. */
    private static BenchCase draftExpand(int requests, int vocab, int branch, int levels) {
        int rows = requests * (1 + (levels - 1) * branch);
        long elements = (long) rows * vocab;
        return new BenchCase("draftExpand", shape("requests", requests, "vocab", vocab, "branch", branch, "levels", levels), DType.BF16,
            elements * BF16, 4 * elements, elements * BF16, in -> {
                Tensor first = in.normal(DType.BF16, requests, vocab);
                Tensor below = levels == 1 ? null : in.normal(DType.BF16, requests * branch, vocab);
                TreeBatch trees = TreeBatch.allocate(in.arena(), requests);
                RowBatch next = RowBatch.allocate(in.arena(), requests * branch, requests);
                in.fill(next.sequences(), i -> i);
                in.fill(next.committed(), i -> 16);
                in.fill(trees.levelBiases(), i -> 0);
                requestIds(in, next);
                HostMirror positions = in.ints(1, requests, i -> 16);
                int pages = 5;
                KvLayout layout = new KvLayout(DType.BF16, 1, 1, 32, 16, pages * requests);
                KvStore kv = KvStore.allocate(in.arena(), layout, in.ints(requests, pages, i -> i));
                SamplingParams params = SamplingParams.temperature(1f);
                return () -> {
                    in.ops().draftExpand(first, 1, 1, branch, 1f, params, 7, positions, trees, requests, next, kv);
                    for (int level = 2; level <= levels; level++) {
                        in.ops().draftExpand(below, branch, level, branch, 1f, params, 7, positions, trees, requests, next, kv);
                    }
                };
            });
    }

    /** Reads the logits, writes k tokens and log-probabilities a row. */
    private static BenchCase topLogProbs(int rows, int vocab, int k) {
        long elements = (long) rows * vocab;
        return new BenchCase("topLogProbs", shape("rows", rows, "vocab", vocab, "k", k), DType.BF16, elements * BF16 + 8L * rows * k,
            4 * elements, elements * BF16, in -> {
                Tensor logits = in.normal(DType.BF16, rows, vocab);
                Tensor indices = in.ints(1, rows, i -> i).device();
                Tensor ids = in.empty(DType.I32, rows, k);
                Tensor logProbs = in.empty(DType.F32, rows, k);
                Tensor tails = in.empty(DType.F32, 1, rows);
                return () -> in.ops().topLogProbs(logits, 1f, indices, rows, ids, logProbs, tails);
            });
    }

    private static void requestIds(BenchInputs in, RowBatch batch) {
        MemorySegment ids = batch.requestIds().host().host();
        for (int i = 0; i < batch.maxRequests(); i++) {
            ids.setAtIndex(ValueLayout.JAVA_LONG, i, 1000L + i);
        }
        in.ops().push(batch.requestIds(), batch.maxRequests());
    }
}
