package org.respec.kernels;

/** What both implementations demand of {@link Ops#klDistill} and {@link Ops#klDistillDense}; who calls checks the logits' dtype. */
public final class DistillationChecks {
    private DistillationChecks() {
    }

    /** @throws IllegalArgumentException that names what {@link Ops#klDistill} cannot take */
    public static void topK(Tensor logits, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight, Tensor weights,
                            Tensor losses, int rows) {
        student("klDistill", logits, weights, losses, rows);
        if (!(tvWeight >= 0 && tvWeight <= 1)) {
            throw new IllegalArgumentException("klDistill: tvWeight must be 0 to 1, got " + tvWeight);
        }
        Checks.matrix("klDistill", "ids", ids, DType.I32, rows, ids.cols());
        Checks.matrix("klDistill", "logProbs", logProbs, rows, ids.cols());
        Checks.vector("klDistill", "tails", tails, DType.F32, rows);
        if (idMap != null) {
            Checks.vector("klDistill", "idMap", idMap, DType.I32, 1);
        }
    }

    /** @throws IllegalArgumentException that names what {@link Ops#klDistillDense} cannot take */
    public static void dense(Tensor logits, Tensor teacher, Tensor columns, Tensor weights, Tensor losses, int rows) {
        student("klDistillDense", logits, weights, losses, rows);
        Checks.matrix("klDistillDense", "teacher", teacher, teacher.dtype(), rows, columns == null ? logits.cols() : teacher.cols());
        if (columns != null) {
            Checks.vector("klDistillDense", "columns", columns, DType.I32, logits.cols());
        }
        Checks.disjoint("klDistillDense", "logits", logits, "teacher", teacher);
    }

    private static void student(String operator, Tensor logits, Tensor weights, Tensor losses, int rows) {
        Checks.matrix(operator, "logits", logits, logits.dtype(), rows, Math.max(1, logits.cols()));
        Checks.vector(operator, "weights", weights, DType.F32, rows);
        Checks.vector(operator, "losses", losses, DType.F32, rows);
    }
}
