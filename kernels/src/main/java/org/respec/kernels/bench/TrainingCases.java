package org.respec.kernels.bench;

import static org.respec.kernels.bench.BenchCase.shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;

/** Distillation, attention in training, and the optimizer. */
final class TrainingCases {
    private static final int BF16 = DType.BF16.bytes();
    private static final int F32 = DType.F32.bytes();

    private TrainingCases() {
    }

    static List<BenchCase> all(boolean tiny) {
        List<BenchCase> cases = new ArrayList<>();
        for (int k : tiny ? new int[] {4} : new int[] {16, 64, 128}) {
            cases.add(klDistill(tiny ? 2 : 1024, tiny ? 100 : 151_936, k));
        }
        cases.add(policyLoss(tiny ? 2 : 440, tiny ? 100 : 151_936));
        AttentionShape attention = tiny ? new AttentionShape(2, 1, 32) : new AttentionShape(32, 8, 128);
        for (int length : tiny ? new int[] {20} : new int[] {512, 2048, 8192}) {
            cases.add(chainAttention(tiny ? 1 : 16_384 / length, length, 0, attention));
        }
        cases.add(chainAttention(tiny ? 2 : 8, tiny ? 5 : 2048, 3, attention));
        for (int length : tiny ? new int[] {20} : new int[] {512, 2048, 8192}) {
            cases.add(chainAttentionBackward(tiny ? 1 : 16_384 / length, length, 0, attention));
        }
        cases.add(chainAttentionBackward(tiny ? 2 : 8, tiny ? 5 : 2048, 3, attention));
        cases.add(adamW(tiny ? 1000 : 1 << 26));
        cases.add(adamWConvert(tiny ? 1000 : 1 << 26));
        cases.add(squaredNorm(tiny ? 1000 : 1 << 26));
        return cases;
    }

    /** Reads the logits and writes their gradient in place, reads k ids and log-probabilities a row; about 6 operations an element. */
    private static BenchCase klDistill(int rows, int vocab, int k) {
        long elements = (long) rows * vocab;
        return new BenchCase("klDistill", shape("rows", rows, "vocab", vocab, "k", k), DType.BF16,
            2 * elements * BF16 + 8L * rows * k + 12L * rows, 6 * elements, elements * BF16, in -> {
                Tensor logits = in.normal(DType.BF16, rows, vocab);
                int start = in.random().nextInt(vocab);
                // 997 is prime and divides neither vocabulary, so a row's ids differ.
                Tensor ids = in.ints(rows, k, i -> (int) ((start + 31L * (i / k) + 997L * (i % k)) % vocab)).device();
                // A teacher with nine tenths of its mass on its k tokens alike.
                Tensor logProbs = in.constant(rows * k, (float) Math.log(0.9 / k)).reshape(rows, k);
                Tensor tails = in.constant(rows, (float) Math.log(0.1));
                Tensor weights = in.constant(rows, 0.5f);
                Tensor losses = in.empty(DType.F32, 1, rows);
                return () -> in.ops().klDistill(logits, 1f, ids, logProbs, tails, weights, losses, rows);
            });
    }

    /** Reads the logits of one piece of a pass, writes their gradient in bf16; about 6 operations an element. */
    private static BenchCase policyLoss(int rows, int vocab) {
        long elements = (long) rows * vocab;
        return new BenchCase("policyLoss", shape("rows", rows, "vocab", vocab), DType.F32, elements * (F32 + BF16) + 28L * rows,
            6 * elements, elements * (F32 + BF16), in -> {
                Tensor logits = in.normal(DType.F32, rows, vocab);
                Tensor gradient = in.empty(DType.BF16, rows, vocab);
                Tensor targets = in.ints(1, rows, i -> (int) (97L * i % vocab)).device();
                Tensor old = in.constant(rows, -10f);
                PolicyTerms terms = new PolicyTerms(in.constant(rows, 1e-3f), in.constant(rows, 0.5f), old, null, old, 0.2f, 0.2f, 0, 2);
                Tensor logProbs = in.empty(DType.F32, 1, rows);
                return () -> in.ops().policyLoss(logits, targets, 1f, terms, logProbs, gradient, rows);
            });
    }

    private static long pairs(int sequences, int length, int depth) {
        return sequences * ((long) length * (length + 1) / 2 + (long) length * depth);
    }

    private static Map<String, Integer> chainShape(int sequences, int length, int depth, AttentionShape attention) {
        return shape("sequences", sequences, "length", length, "depth", depth, "heads", attention.heads(), "kvHeads", attention.kvHeads(),
            "headDim", attention.headDim());
    }

    /** Reads queries and the keys and values of every step once, writes out; two products for each visible pair and head. */
    private static BenchCase chainAttention(int sequences, int length, int depth, AttentionShape attention) {
        int rows = sequences * length;
        long bytes = (long) rows * (2 * attention.queryWidth() + 2L * attention.kvWidth() * (depth + 1)) * BF16;
        return new BenchCase("chainAttention", chainShape(sequences, length, depth, attention), DType.BF16, bytes,
            4L * attention.queryWidth() * pairs(sequences, length, depth), (depth + 2L) * rows * attention.fusedWidth() * BF16, in -> {
                Tensor[] steps = steps(in, depth, rows, attention);
                Spans spans = spans(in, sequences, length);
                Tensor out = in.empty(DType.BF16, rows, attention.queryWidth());
                return () -> in.ops().chainAttention(steps, depth, attention, spans, sequences, out, rows);
            });
    }

    /**
     * Reads queries, the keys and values of every step and the gradient of out once, adds to the gradients of what it read. Five products
     * for each visible pair and head, the least there is; the kernels do nine.
     */
    private static BenchCase chainAttentionBackward(int sequences, int length, int depth, AttentionShape attention) {
        int rows = sequences * length;
        long bytes = (long) rows * (4 * attention.queryWidth() + 6L * attention.kvWidth() * (depth + 1)) * BF16;
        return new BenchCase("chainAttentionBackward", chainShape(sequences, length, depth, attention), DType.BF16, bytes,
            10L * attention.queryWidth() * pairs(sequences, length, depth), 2 * (depth + 2L) * rows * attention.fusedWidth() * BF16, in -> {
                Tensor[] steps = steps(in, depth, rows, attention);
                Tensor[] dSteps = steps(in, depth, rows, attention);
                Spans spans = spans(in, sequences, length);
                Tensor dOut = in.normal(DType.BF16, rows, attention.queryWidth());
                return () -> in.ops().chainAttentionBackward(steps, depth, attention, spans, sequences, dOut, dSteps, rows);
            });
    }

    private static Tensor[] steps(BenchInputs in, int depth, int rows, AttentionShape attention) {
        Tensor[] steps = new Tensor[depth + 1];
        for (int i = 0; i < steps.length; i++) {
            steps[i] = in.normal(DType.BF16, rows, attention.fusedWidth());
        }
        return steps;
    }

    private static Spans spans(BenchInputs in, int sequences, int length) {
        Spans spans = Spans.allocate(in.arena(), sequences * length, sequences);
        in.fill(spans.starts(), i -> i * length);
        in.fill(spans.rowStarts(), i -> i / length * length);
        in.fill(spans.positions(), i -> i % length);
        return spans;
    }

    /** Reads weights, gradients and both moments, writes all but the gradients; about 12 operations an element. */
    private static BenchCase adamW(int elements) {
        return new BenchCase("adamW", shape("elements", elements), DType.F32, 7L * elements * F32, 12L * elements, 4L * elements * F32,
            in -> {
            Tensor weights = in.normal(DType.F32, 1, elements);
            Tensor gradients = in.normal(DType.F32, 1, elements);
            Tensor first = in.normal(DType.F32, 1, elements);
            Tensor second = in.constant(elements, 1f);
            return () -> in.ops().adamW(weights, gradients, first, second, 1e-5f, 0.9f, 0.95f, 1e-8f, 0.01f, 10, 1f);
        });
    }

    /** The same, and writes the new weights in bf16. */
    private static BenchCase adamWConvert(int elements) {
        return new BenchCase("adamWConvert", shape("elements", elements), DType.F32, (7L * F32 + BF16) * elements, 12L * elements,
            (4L * F32 + BF16) * elements, in -> {
                Tensor weights = in.normal(DType.F32, 1, elements);
                Tensor copy = in.empty(DType.BF16, 1, elements);
                Tensor gradients = in.normal(DType.F32, 1, elements);
                Tensor first = in.normal(DType.F32, 1, elements);
                Tensor second = in.constant(elements, 1f);
                return () -> in.ops().adamWConvert(weights, copy, gradients, first, second, 1e-5f, 0.9f, 0.95f, 1e-8f, 0.01f, 10, 1f);
            });
    }

    /** Reads every element; the host waits for the result, so its way to the device and back is in the time. */
    private static BenchCase squaredNorm(int elements) {
        return new BenchCase("squaredNorm", shape("elements", elements), DType.F32, (long) elements * F32, 2L * elements,
            (long) elements * F32, in -> {
                Tensor x = in.normal(DType.F32, 1, elements);
                return () -> in.ops().squaredNorm(x);
            });
    }
}
