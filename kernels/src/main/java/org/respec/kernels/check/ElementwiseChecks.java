package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import org.respec.kernels.DType;

/** Checks of fills, copies, embeddings, RMS norm and SwiGLU. */
final class ElementwiseChecks {
    private static final int[] ROWS = {0, 1, 3, 41};
    private static final int[] COLS = {1, 3, 8, 41, 401, 1271, 2048};

    private ElementwiseChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        checks.add(new OperatorCheck("rmsNorm f32", bench -> rmsNorm(bench, DType.F32, 1e-5)));
        checks.add(new OperatorCheck("rmsNorm bf16", bench -> rmsNorm(bench, DType.BF16, 8e-3)));
        return checks;
    }

    private static void rmsNorm(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : new int[] {0, 3}) {
                    Twin x = bench.normal(dtype, rows + 1, cols, gap, 2);
                    Twin weight = bench.normal(dtype, 1, cols, 0, 1);
                    Twin out = bench.poisoned(dtype, rows + 1, cols, gap);
                    bench.truth().rmsNorm(x.truth(), weight.truth(), 1e-6f, out.truth(), rows);
                    bench.device().rmsNorm(x.device(), weight.device(), 1e-6f, out.device(), rows);
                    bench.compare("rmsNorm " + rows + "x" + cols, out, rows, relative, 1e-6);
                    bench.untouched("rmsNorm " + rows + "x" + cols, out, rows);
                }
            }
        }
    }
}
