package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Spans;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Checks of causal training attention with unrolled draft steps, and of its gradient. */
final class ChainAttentionChecks {
    /** Lengths of the sequences of a pack: single rows, rows around tiles, none. */
    private static final int[] RAGGED = {1, 3, 0, 41, 130, 1, 17};
    private static final int[] SHORT = {5, 0, 1, 33};
    /** Of the largest absolute gradient of a tensor: bf16 rounds p and ds before the products, and their sums cancel. */
    private static final double BF16_SLACK = 8e-3;
    private static final double F32_SLACK = 4e-6;

    private ChainAttentionChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("chainAttention" + name, bench -> {
                new Case(bench, dtype, new AttentionShape(2, 1, 64), RAGGED, 2, 0).forward();
                new Case(bench, dtype, new AttentionShape(1, 1, 32), RAGGED, 0, 3).forward();
                new Case(bench, dtype, new AttentionShape(3, 3, 96), SHORT, 1, 8).forward();
                new Case(bench, dtype, new AttentionShape(8, 1, 128), SHORT, 3, 0).forward();
                new Case(bench, dtype, new AttentionShape(4, 2, 256), SHORT, 0, 1).forward();
                new Case(bench, dtype, new AttentionShape(4, 2, 32), SHORT, 8, 2).forward();
                new Case(bench, dtype, new AttentionShape(2, 2, 32), new int[] {401}, 0, 0).forward();
            }));
            checks.add(new OperatorCheck("chainAttentionBackward" + name, bench -> {
                new Case(bench, dtype, new AttentionShape(2, 1, 64), RAGGED, 2, 0).backward();
                new Case(bench, dtype, new AttentionShape(1, 1, 32), RAGGED, 0, 3).backward();
                new Case(bench, dtype, new AttentionShape(3, 3, 96), SHORT, 1, 8).backward();
                new Case(bench, dtype, new AttentionShape(8, 1, 128), SHORT, 3, 0).backward();
                new Case(bench, dtype, new AttentionShape(4, 2, 256), SHORT, 0, 1).backward();
                new Case(bench, dtype, new AttentionShape(4, 2, 32), SHORT, 8, 2).backward();
            }));
            checks.add(new OperatorCheck("chainAttention packs" + name, bench -> packs(bench, dtype)));
            checks.add(new OperatorCheck("chainAttention repeats" + name, bench -> repeats(bench, dtype)));
        }
        checks.add(new OperatorCheck("chainAttention empty", ChainAttentionChecks::empty));
        checks.add(new OperatorCheck("chainAttention refusals", ChainAttentionChecks::refusals));
        return checks;
    }

    /** Inputs of one shape on both sides. */
    private static final class Case {
        private final CheckBench bench;
        private final DType dtype;
        private final AttentionShape shape;
        private final int depth;
        private final int rows;
        private final int sequences;
        private final int gap;
        private final Twin[] steps;
        private final Spans truthSpans;
        private final Spans deviceSpans;
        private final String name;

        /** One more row than live, one more step than used; {@code gap} elements more from row to row with every step. */
        Case(CheckBench bench, DType dtype, AttentionShape shape, int[] lengths, int depth, int gap) {
            this.bench = bench;
            this.dtype = dtype;
            this.shape = shape;
            this.depth = depth;
            this.rows = Arrays.stream(lengths).sum();
            this.sequences = lengths.length;
            this.gap = gap;
            steps = new Twin[depth + 2];
            for (int i = 0; i < steps.length; i++) {
                steps[i] = bench.normal(dtype, rows + 1, shape.fusedWidth(), i * gap, 1);
            }
            truthSpans = spans(bench.truth(), bench.truthArena(), lengths);
            deviceSpans = spans(bench.device(), bench.deviceArena(), lengths);
            name = shape + " depth " + depth + ", " + rows + " rows";
        }

        private void forward() {
            Twin out = bench.poisoned(dtype, rows + 1, shape.queryWidth(), gap);
            bench.truth().chainAttention(truths(steps), depth, shape, truthSpans, sequences, out.truth(), rows);
            bench.device().chainAttention(devices(steps), depth, shape, deviceSpans, sequences, out.device(), rows);
            // bf16 rounds each weight, by up to 2^-9 of it, and the result.
            bench.compare("chainAttention " + name, out, rows, dtype == DType.F32 ? 1e-5 : 8e-3, dtype == DType.F32 ? 2e-6 : 6e-3);
            bench.untouched("chainAttention " + name, out, rows);
        }

        private void backward() {
            Twin dOut = bench.normal(dtype, rows + 1, shape.queryWidth(), gap, 1);
            Twin[] before = new Twin[steps.length];
            Twin[] dSteps = new Twin[steps.length];
            for (int i = 0; i < steps.length; i++) {
                before[i] = bench.normal(dtype, rows + 1, shape.fusedWidth(), 0, 0.5);
                dSteps[i] = bench.poisoned(dtype, rows + 1, shape.fusedWidth(), (steps.length - i) * gap);
                for (int r = 0; r <= rows; r++) {
                    for (int c = 0; c < shape.fusedWidth(); c++) {
                        dSteps[i].set(r, c, before[i].want(r, c));
                    }
                }
                dSteps[i].push();
            }
            bench.truth().chainAttentionBackward(truths(steps), depth, shape, truthSpans, sequences, dOut.truth(), truths(dSteps), rows);
            bench.device().chainAttentionBackward(devices(steps), depth, shape, deviceSpans, sequences, dOut.device(), devices(dSteps),
                rows);
            for (int i = 0; i < steps.length; i++) {
                String what = "chainAttentionBackward " + name + ", dSteps[" + i + "]";
                dSteps[i].pull();
                double largest = 0;
                for (int r = 0; r < rows; r++) {
                    for (int c = 0; c < shape.fusedWidth(); c++) {
                        boolean owned = i == depth && c < shape.queryWidth() || i <= depth && c >= shape.queryWidth();
                        bench.require(owned || dSteps[i].got(r, c) == before[i].want(r, c),
                            what + " was changed at row " + r + ", column " + c);
                        largest = Math.max(largest, Math.abs(dSteps[i].want(r, c)));
                    }
                }
                for (int c = 0; c < shape.fusedWidth(); c++) {
                    bench.require(dSteps[i].got(rows, c) == before[i].want(rows, c), what + " was changed past the live rows");
                }
                bench.compare(what, dSteps[i], rows, dtype == DType.F32 ? 1e-5 : 8e-3,
                    largest * (dtype == DType.F32 ? F32_SLACK : BF16_SLACK));
            }
        }
    }

    /** A sequence's rows have the same bits alone and behind others of any length. */
    private static void packs(CheckBench bench, DType dtype) {
        AttentionShape shape = new AttentionShape(2, 1, 64);
        int depth = 1;
        int length = 77;
        int before = 45;
        Twin[] alone = new Twin[depth + 1];
        Twin[] packed = new Twin[depth + 1];
        for (int i = 0; i <= depth; i++) {
            packed[i] = bench.normal(dtype, before + length + 3, shape.fusedWidth(), 0, 1);
            alone[i] = bench.poisoned(dtype, length, shape.fusedWidth(), 0);
            for (int r = 0; r < length; r++) {
                for (int c = 0; c < shape.fusedWidth(); c++) {
                    alone[i].set(r, c, packed[i].want(before + r, c));
                }
            }
            alone[i].push();
        }
        Twin out = bench.poisoned(dtype, length, shape.queryWidth(), 0);
        Twin outPacked = bench.poisoned(dtype, before + length + 3, shape.queryWidth(), 0);
        bench.device().chainAttention(devices(alone), depth, shape, spans(bench.device(), bench.deviceArena(), new int[] {length}), 1,
            out.device(), length);
        bench.device().chainAttention(devices(packed), depth, shape,
            spans(bench.device(), bench.deviceArena(), new int[] {before, length, 3}), 3, outPacked.device(), before + length + 3);
        out.pull();
        outPacked.pull();
        for (int r = 0; r < length; r++) {
            for (int c = 0; c < shape.queryWidth(); c++) {
                bench.require(out.got(r, c) == outPacked.got(before + r, c), "chainAttention: row " + r + ", column " + c + " is "
                    + out.got(r, c) + " alone and " + outPacked.got(before + r, c) + " in a pack");
            }
        }
    }

    /** The same inputs give the same gradients, bit for bit. */
    private static void repeats(CheckBench bench, DType dtype) {
        AttentionShape shape = new AttentionShape(4, 2, 32);
        Case c = new Case(bench, dtype, shape, new int[] {70, 9}, 1, 0);
        Twin dOut = bench.normal(dtype, c.rows, shape.queryWidth(), 0, 1);
        Twin[][] runs = new Twin[2][c.steps.length];
        for (Twin[] run : runs) {
            for (int i = 0; i < run.length; i++) {
                run[i] = bench.normal(dtype, c.rows, shape.fusedWidth(), 0, 0);
            }
            bench.device().chainAttentionBackward(devices(c.steps), 1, shape, c.deviceSpans, c.sequences, dOut.device(), devices(run),
                c.rows);
        }
        for (int i = 0; i < runs[0].length; i++) {
            runs[0][i].pull();
            runs[1][i].pull();
            for (int r = 0; r < c.rows; r++) {
                for (int col = 0; col < shape.fusedWidth(); col++) {
                    bench.require(runs[0][i].got(r, col) == runs[1][i].got(r, col), "chainAttentionBackward: dSteps[" + i + "], row " + r
                        + ", column " + col + " is " + runs[0][i].got(r, col) + ", then " + runs[1][i].got(r, col));
                }
            }
        }
    }

    private static void empty(CheckBench bench) {
        AttentionShape shape = new AttentionShape(2, 1, 32);
        for (int[] lengths : new int[][] {{}, {0, 0}}) {
            Case c = new Case(bench, DType.F32, shape, lengths, 1, 0);
            Twin out = bench.poisoned(DType.F32, 2, shape.queryWidth(), 0);
            bench.device().chainAttention(devices(c.steps), 1, shape, c.deviceSpans, lengths.length, out.device(), 0);
            Twin dOut = bench.normal(DType.F32, 1, shape.queryWidth(), 0, 1);
            Twin[] dSteps = {bench.poisoned(DType.F32, 1, shape.fusedWidth(), 0), bench.poisoned(DType.F32, 1, shape.fusedWidth(), 0)};
            bench.device().chainAttentionBackward(devices(c.steps), 1, shape, c.deviceSpans, lengths.length, dOut.device(),
                devices(dSteps), 0);
            bench.untouched("chainAttention of no rows", out, 0);
            bench.untouched("chainAttentionBackward of no rows", dSteps[0], 0);
            bench.untouched("chainAttentionBackward of no rows", dSteps[1], 0);
            bench.compare("chainAttention of no rows", out, 0, 0, 0);
        }
    }

    private static void refusals(CheckBench bench) {
        AttentionShape shape = new AttentionShape(2, 1, 32);
        Case c = new Case(bench, DType.F32, shape, new int[] {3, 4}, 1, 0);
        Case half = new Case(bench, DType.BF16, shape, new int[] {3, 4}, 1, 0);
        Tensor[] steps = devices(c.steps);
        Ops ops = bench.device();
        Twin out = bench.poisoned(DType.F32, 7, shape.queryWidth(), 0);
        Twin[] gradients = {bench.normal(DType.F32, 7, shape.fusedWidth(), 0, 0), bench.normal(DType.F32, 7, shape.fusedWidth(), 0, 0)};
        Class<? extends RuntimeException> refusal = IllegalArgumentException.class;
        bench.refuses("a depth of -1", refusal, () -> ops.chainAttention(steps, -1, shape, c.deviceSpans, 2, out.device(), 7));
        bench.refuses("a depth past the steps", refusal,
            () -> ops.chainAttention(steps, steps.length, shape, c.deviceSpans, 2, out.device(), 7));
        bench.refuses("too few rows", refusal, () -> ops.chainAttention(steps, 1, shape, c.deviceSpans, 2, out.device(), 8));
        bench.refuses("starts that end too early", refusal, () -> ops.chainAttention(steps, 1, shape, c.deviceSpans, 1, out.device(), 7));
        bench.refuses("starts that end too late", refusal, () -> ops.chainAttention(steps, 1, shape, c.deviceSpans, 2, out.device(), 6));
        bench.refuses("another shape", refusal,
            () -> ops.chainAttention(steps, 1, new AttentionShape(4, 1, 32), c.deviceSpans, 2, out.device(), 7));
        bench.refuses("a head size of 48", refusal,
            () -> ops.chainAttention(steps, 1, new AttentionShape(1, 1, 48), c.deviceSpans, 2, out.device(), 7));
        bench.refuses("mixed types", refusal,
            () -> ops.chainAttention(new Tensor[] {steps[0], half.steps[1].device()}, 1, shape, c.deviceSpans, 2, out.device(), 7));
        bench.refuses("out in steps", refusal, () -> ops.chainAttention(steps, 1, shape, c.deviceSpans, 2,
            steps[0].columns(0, shape.queryWidth()), 7));
        bench.refuses("too few dSteps", refusal, () -> ops.chainAttentionBackward(steps, 1, shape, c.deviceSpans, 2, out.device(),
            new Tensor[] {gradients[0].device()}, 7));
        bench.refuses("dSteps of another type", refusal, () -> ops.chainAttentionBackward(devices(half.steps), 1, shape, half.deviceSpans,
            2, half.steps[2].device().columns(0, shape.queryWidth()), devices(gradients), 7));
        HostMirror rowStarts = c.deviceSpans.rowStarts();
        rowStarts.host().host().setAtIndex(ValueLayout.JAVA_INT, 5, 0);
        bench.refuses("a row of no sequence", refusal, () -> ops.chainAttention(steps, 1, shape, c.deviceSpans, 2, out.device(), 7));
        bench.untouched("chainAttention with bad input", out, 0);
    }

    private static Tensor[] truths(Twin[] twins) {
        return Arrays.stream(twins).map(Twin::truth).toArray(Tensor[]::new);
    }

    private static Tensor[] devices(Twin[] twins) {
        return Arrays.stream(twins).map(Twin::device).toArray(Tensor[]::new);
    }

    private static Spans spans(Ops ops, TensorArena arena, int[] lengths) {
        int rows = Arrays.stream(lengths).sum();
        Spans spans = Spans.allocate(arena, rows, lengths.length);
        int row = 0;
        for (int s = 0; s < lengths.length; s++) {
            int start = row;
            for (; row < start + lengths[s]; row++) {
                spans.rowStarts().host().host().setAtIndex(ValueLayout.JAVA_INT, row, start);
                spans.positions().host().host().setAtIndex(ValueLayout.JAVA_INT, row, row - start);
            }
            spans.starts().host().host().setAtIndex(ValueLayout.JAVA_INT, s + 1, row);
        }
        ops.push(spans.starts(), lengths.length + 1);
        ops.push(spans.rowStarts(), rows);
        ops.push(spans.positions(), rows);
        return spans;
    }
}
