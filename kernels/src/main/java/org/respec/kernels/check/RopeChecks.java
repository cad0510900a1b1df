package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;

/** Checks of QK-norm with rotation and its gradient. */
final class RopeChecks {
    private static final AttentionShape[] SHAPES = {new AttentionShape(1, 1, 2), new AttentionShape(3, 1, 6), new AttentionShape(4, 2, 32),
        new AttentionShape(8, 1, 64), new AttentionShape(2, 2, 96), new AttentionShape(5, 5, 128), new AttentionShape(4, 1, 256)};
    private static final int[] ROWS = {0, 1, 3, 41};
    private static final int POSITIONS = 50;
    private static final double BF16 = 4e-3;

    private RopeChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            double relative = dtype == DType.F32 ? 1e-5 : BF16;
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("qkNormRope" + name, bench -> forward(bench, dtype, relative)));
            checks.add(new OperatorCheck("qkNormRopeBackward" + name, bench -> backward(bench, dtype, relative)));
        }
        checks.add(new OperatorCheck("qkNormRope refusals and faults", RopeChecks::refusals));
        return checks;
    }

    static Twin rope(CheckBench bench, int dim) {
        Twin rope = bench.poisoned(DType.F32, POSITIONS, dim, 0);
        for (int p = 0; p < POSITIONS; p++) {
            for (int i = 0; i < dim / 2; i++) {
                double angle = p * Math.pow(10_000, -2.0 * i / dim);
                rope.set(p, i, Math.cos(angle));
                rope.set(p, dim / 2 + i, Math.sin(angle));
            }
        }
        rope.push();
        return rope;
    }

    private static void forward(CheckBench bench, DType dtype, double relative) {
        for (AttentionShape shape : SHAPES) {
            for (int rows : ROWS) {
                for (int gap : new int[] {0, 3}) {
                    int dim = shape.headDim();
                    DType parameter = gap == 0 ? dtype : DType.F32;
                    Twin qkv = bench.normal(dtype, rows + 1, shape.fusedWidth(), gap, 2);
                    Twin qWeight = bench.normal(parameter, 1, dim, 0, 1);
                    Twin kWeight = bench.normal(parameter, 1, dim, 0, 1);
                    Twin rope = rope(bench, dim);
                    Twin positions = bench.randomInts(rows + 1, POSITIONS - 2);
                    Twin out = bench.poisoned(dtype, rows + 1, shape.fusedWidth(), 2 * gap);
                    String what = "qkNormRope " + shape + " of " + rows + " rows";
                    bench.truth().qkNormRope(qkv.truth(), shape, qWeight.truth(), kWeight.truth(), 1e-6f, positions.truth(), 2,
                        rope.truth(), out.truth(), rows);
                    bench.device().qkNormRope(qkv.device(), shape, qWeight.device(), kWeight.device(), 1e-6f, positions.device(), 2,
                        rope.device(), out.device(), rows);
                    bench.compare(what, out, rows, relative, 4e-6);
                    bench.untouched(what, out, rows);
                    bench.truth().qkNormRope(qkv.truth(), shape, qWeight.truth(), kWeight.truth(), 1e-6f, positions.truth(), 0,
                        rope.truth(), qkv.truth(), rows);
                    bench.device().qkNormRope(qkv.device(), shape, qWeight.device(), kWeight.device(), 1e-6f, positions.device(), 0,
                        rope.device(), qkv.device(), rows);
                    bench.compare(what + " in place", qkv, rows + 1, relative, 4e-6);
                }
            }
        }
    }

    private static void backward(CheckBench bench, DType dtype, double relative) {
        for (AttentionShape shape : SHAPES) {
            for (int rows : new int[] {0, 1, 3, 21}) {
                backward(bench, dtype, shape, rows, 0, relative);
                backward(bench, dtype, shape, rows, 3, relative);
            }
        }
        backward(bench, dtype, new AttentionShape(2, 1, 8), 1271, 0, relative);
    }

    private static void backward(CheckBench bench, DType dtype, AttentionShape shape, int rows, int gap, double relative) {
        int dim = shape.headDim();
        DType parameter = gap == 0 ? dtype : DType.F32;
        Twin qkv = bench.normal(dtype, rows, shape.fusedWidth(), gap, 2);
        Twin qWeight = bench.normal(parameter, 1, dim, 0, 1);
        Twin kWeight = bench.normal(parameter, 1, dim, 0, 1);
        Twin rope = rope(bench, dim);
        Twin positions = bench.randomInts(rows + 1, POSITIONS - 1);
        for (boolean inPlace : new boolean[] {false, true}) {
            Twin dOut = bench.normal(dtype, rows + 1, shape.fusedWidth(), gap, 1);
            Twin dQkv = inPlace ? dOut : bench.poisoned(dtype, rows + 1, shape.fusedWidth(), 2 * gap);
            Twin dQ = bench.normal(DType.F32, 1, dim, 0, 1);
            Twin dK = bench.normal(DType.F32, 1, dim, 0, 1);
            bench.truth().qkNormRopeBackward(qkv.truth(), shape, qWeight.truth(), kWeight.truth(), 1e-6f, positions.truth(), 1,
                rope.truth(), dOut.truth(), dQkv.truth(), dQ.truth(), dK.truth(), rows);
            bench.device().qkNormRopeBackward(qkv.device(), shape, qWeight.device(), kWeight.device(), 1e-6f, positions.device(), 1,
                rope.device(), dOut.device(), dQkv.device(), dQ.device(), dK.device(), rows);
            String what = "qkNormRopeBackward " + shape + " of " + rows + " rows" + (inPlace ? " in place" : "");
            bench.compare(what, dQkv, inPlace ? rows + 1 : rows, relative, 8e-6);
            if (!inPlace) {
                bench.untouched(what, dQkv, rows);
            }
            double absolute = 2e-5 * Math.sqrt(Math.max(1, rows * shape.heads()));
            bench.compare(what + ", dQWeight", dQ, 1, 1e-5, absolute);
            bench.compare(what + ", dKWeight", dK, 1, 1e-5, absolute);
        }
    }

    private static void refusals(CheckBench bench) {
        AttentionShape shape = new AttentionShape(2, 1, 8);
        Twin qkv = bench.normal(DType.F32, 3, shape.fusedWidth(), 0, 1);
        Twin out = bench.poisoned(DType.F32, 3, shape.fusedWidth(), 0);
        Twin weight = bench.normal(DType.F32, 1, 8, 0, 1);
        Twin gradient = bench.normal(DType.F32, 1, 8, 0, 1);
        Twin half = bench.normal(DType.BF16, 1, 8, 0, 1);
        Twin rope = rope(bench, 8);
        Twin positions = bench.ints(0, 1, 2);
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        bench.refuses("qkNormRope of 4 rows of 3", bad, () -> bench.device().qkNormRope(qkv.device(), shape, weight.device(),
            weight.device(), 1e-6f, positions.device(), 0, rope.device(), out.device(), 4));
        bench.refuses("qkNormRope with weights of two types", bad, () -> bench.device().qkNormRope(qkv.device(), shape, weight.device(),
            half.device(), 1e-6f, positions.device(), 0, rope.device(), out.device(), 3));
        bench.refuses("qkNormRope of another shape", bad, () -> bench.device().qkNormRope(qkv.device(), new AttentionShape(3, 1, 8),
            weight.device(), weight.device(), 1e-6f, positions.device(), 0, rope.device(), out.device(), 3));
        AttentionShape huge = new AttentionShape(1, 1, 258);
        Twin wide = bench.poisoned(DType.F32, 1, huge.fusedWidth(), 0);
        Twin wideWeight = bench.poisoned(DType.F32, 1, 258, 0);
        bench.refuses("qkNormRope of heads of 258", bad, () -> bench.device().qkNormRope(wide.device(), huge, wideWeight.device(),
            wideWeight.device(), 1e-6f, positions.device(), 0, wideWeight.device(), wide.device(), 1));
        for (int shift : new int[] {-2, POSITIONS - 1, Integer.MAX_VALUE - 1}) {
            ElementwiseChecks.reports(bench, "qkNormRope shifted by " + shift, () -> bench.device().qkNormRope(qkv.device(), shape,
                weight.device(), weight.device(), 1e-6f, positions.device(), shift, rope.device(), out.device(), 3));
            ElementwiseChecks.reports(bench, "qkNormRopeBackward shifted by " + shift, () -> bench.device().qkNormRopeBackward(qkv.device(),
                shape, weight.device(), weight.device(), 1e-6f, positions.device(), shift, rope.device(), qkv.device(), out.device(),
                gradient.device(), gradient.device(), 3));
        }
    }
}
