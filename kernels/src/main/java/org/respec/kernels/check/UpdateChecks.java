package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/** Checks of the gradient norm and AdamW. */
final class UpdateChecks {
    private UpdateChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of(new OperatorCheck("squaredNorm", UpdateChecks::squaredNorm), new OperatorCheck("adamW", UpdateChecks::adamW),
            new OperatorCheck("adamW with moments in bf16", UpdateChecks::halfMoments),
            new OperatorCheck("adamW with a copy in bf16", UpdateChecks::copies),
            new OperatorCheck("adamW with moments in host memory", UpdateChecks::pinnedMoments),
            new OperatorCheck("update refusals", UpdateChecks::refusals));
    }

    private static void squaredNorm(CheckBench bench) {
        for (int size : new int[] {0, 1, 3, 401, 16_384, 16_385, 70_001}) {
            Twin x = bench.normal(DType.F32, 1, size + 1, 0, 3);
            double want = bench.truth().squaredNorm(x.truth().columns(0, size));
            double got = bench.device().squaredNorm(x.device().columns(0, size));
            bench.require(Math.abs(got - want) <= 1e-12 * want, "squaredNorm of " + size + ": expected " + want + ", got " + got);
            bench.require(got == bench.device().squaredNorm(x.device().columns(0, size)),
                "squaredNorm of " + size + " differs from call to call");
        }
        Twin x = bench.normal(DType.F32, 3, 11, 0, 3);
        double part = bench.truth().squaredNorm(x.truth().rows(1, 3));
        bench.require(Math.abs(bench.device().squaredNorm(x.device().rows(1, 3)) - part) <= 1e-12 * part, "squaredNorm of rows 1 and 2");
        x.set(0, 0, Double.NaN);
        x.push();
        bench.require(Double.isNaN(bench.device().squaredNorm(x.device())), "squaredNorm must show a NaN");
    }

    private static void adamW(CheckBench bench) {
        for (int size : new int[] {0, 1, 3, 401, 4096, 70_001}) {
            for (int from : new int[] {0, 1}) {
                Twin weights = bench.normal(DType.F32, 1, from + size + 1, 0, 1);
                Twin gradients = bench.normal(DType.F32, 1, from + size + 1, 0, 1);
                Twin first = bench.normal(DType.F32, 1, from + size + 1, 0, 0);
                Twin second = bench.normal(DType.F32, 1, from + size + 1, 0, 0);
                for (int step : new int[] {1, 2, 3}) {
                    bench.truth().adamW(part(weights.truth(), from, size), part(gradients.truth(), from, size),
                        part(first.truth(), from, size), part(second.truth(), from, size), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, step, 0.37f);
                    bench.device().adamW(part(weights.device(), from, size), part(gradients.device(), from, size),
                        part(first.device(), from, size), part(second.device(), from, size), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, step, 0.37f);
                }
                String what = "adamW of " + size + " from " + from;
                bench.compareExactly(what + ", weights", weights, 1);
                bench.compareExactly(what + ", first moment", first, 1);
                bench.compareExactly(what + ", second moment", second, 1);
            }
        }
    }

    /** Weights are the CPU's to the bit; moments are one of two neighbours, and right on average. */
    private static void halfMoments(CheckBench bench) {
        int size = 70_001;
        for (int step : new int[] {1, 5}) {
            Twin weights = bench.normal(DType.F32, 1, size, 0, 1);
            Twin gradients = bench.normal(DType.F32, 1, size, 0, 1);
            Twin first = bench.normal(DType.BF16, 1, size, 0, 1);
            Twin second = bench.poisoned(DType.BF16, 1, size, 0);
            for (int i = 0; i < size; i++) {
                second.set(0, i, 0.5 + bench.random().nextDouble());
            }
            second.push();
            bench.truth().adamW(weights.truth(), gradients.truth(), first.truth(), second.truth(), 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, step,
                1f);
            bench.device().adamW(weights.device(), gradients.device(), first.device(), second.device(), 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f,
                step, 1f);
            bench.compareExactly("weights", weights, 1);
            for (Twin moment : new Twin[] {first, second}) {
                bench.compare("moments, one of two neighbours", moment, 1, 1.0 / 128, 0);
                double sum = 0;
                for (int i = 0; i < size; i++) {
                    sum += moment.got(0, i) / moment.want(0, i) - 1;
                }
                bench.near("the mean of relative errors", 0, sum / size, 0, 1e-4);
            }
        }
    }

    /** Weights and moments are those of a step alone, and the copy is what a conversion would give. */
    private static void copies(CheckBench bench) {
        for (int size : new int[] {0, 1, 3, 401, 70_001}) {
            for (DType type : new DType[] {DType.F32, DType.BF16}) {
                int from = size % 2;
                Twin weights = bench.normal(DType.F32, 1, from + size + 1, 0, 1);
                Twin copy = bench.normal(DType.BF16, 1, from + size + 1, 0, 1);
                Twin gradients = bench.normal(DType.F32, 1, from + size + 1, 0, 1);
                Twin first = bench.normal(type, 1, from + size + 1, 0, 0);
                Twin second = bench.normal(type, 1, from + size + 1, 0, 0);
                bench.truth().adamW(part(weights.truth(), from, size), part(gradients.truth(), from, size), part(first.truth(), from, size),
                    part(second.truth(), from, size), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, 1, 0.37f);
                bench.device().adamWConvert(part(weights.device(), from, size), part(copy.device(), from, size),
                    part(gradients.device(), from, size), part(first.device(), from, size), part(second.device(), from, size), 1e-2f, 0.9f,
                    0.95f, 1e-8f, 0.1f, 1, 0.37f);
                for (int i = from; i < from + size; i++) {
                    copy.truth().host().setAtIndex(ValueLayout.JAVA_FLOAT, i,
                        Float.intBitsToFloat(Twin.bf16((float) weights.want(0, i)) << 16));
                }
                String what = "adamW of " + size + " with a copy and moments in " + type;
                bench.compareExactly(what + ", weights", weights, 1);
                bench.compareExactly(what + ", copy", copy, 1);
                bench.compare(what + ", first moment", first, 1, type == DType.F32 ? 0 : 1.0 / 128, 0);
                bench.compare(what + ", second moment", second, 1, type == DType.F32 ? 0 : 1.0 / 128, 0);
            }
        }
    }

    /** Every bit is that of a step with moments on the device, in one piece, several, and a part of one. */
    private static void pinnedMoments(CheckBench bench) {
        try (TensorArena arena = bench.device().arena("pinned moments")) {
            for (int size : new int[] {0, 3, 401, (2 << 20) + 3}) {
                Twin weights = bench.normal(DType.F32, 1, size + 1, 0, 1);
                Twin gradients = bench.normal(DType.F32, 1, size + 1, 0, 1);
                Tensor[] truth = {bench.normal(DType.F32, 1, size + 1, 0, 0).truth(), bench.normal(DType.F32, 1, size + 1, 0, 0).truth()};
                Tensor[] moments = {arena.pinned(DType.F32, 1, size + 1), arena.pinned(DType.F32, 1, size + 1)};
                for (int step : new int[] {1, 2}) {
                    bench.truth().adamW(part(weights.truth(), 1, size), part(gradients.truth(), 1, size), part(truth[0], 1, size),
                        part(truth[1], 1, size), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, step, 0.37f);
                    bench.device().adamW(part(weights.device(), 1, size), part(gradients.device(), 1, size), part(moments[0], 1, size),
                        part(moments[1], 1, size), 1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, step, 0.37f);
                }
                bench.compareExactly("adamW of " + size + ", weights", weights, 1);
                bench.device().synchronize();
                for (int i = 0; i < 2; i++) {
                    bench.require(part(truth[i], 1, size).host().mismatch(part(moments[i], 1, size).host()) == -1,
                        "adamW of " + size + ": other moments than on the device");
                }
            }
        }
    }

    private static Tensor part(Tensor tensor, int from, int size) {
        return tensor.columns(from, from + size);
    }

    private static void refusals(CheckBench bench) {
        Tensor x = bench.normal(DType.F32, 1, 8, 0, 1).device();
        Tensor other = bench.normal(DType.F32, 1, 7, 0, 1).device();
        Tensor half = bench.normal(DType.BF16, 1, 8, 0, 1).device();
        Tensor gaps = bench.normal(DType.F32, 3, 8, 1, 1).device();
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        bench.refuses("squaredNorm of bf16", bad, () -> bench.device().squaredNorm(half));
        bench.refuses("squaredNorm with gaps", bad, () -> bench.device().squaredNorm(gaps));
        bench.refuses("adamW of other sizes", bad, () -> bench.device().adamW(x, other, x, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 1, 1f));
        bench.refuses("adamW of bf16", bad, () -> bench.device().adamW(half, x, x, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 1, 1f));
        bench.refuses("adamW with moments of two types", bad,
            () -> bench.device().adamW(x, x, half, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 1, 1f));
        bench.refuses("adamW with a copy in f32", bad,
            () -> bench.device().adamWConvert(x, gaps.rows(0, 1), x, x, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 1, 1f));
        try (TensorArena arena = bench.device().arena("refused")) {
            Tensor pinned = arena.pinned(DType.F32, 1, 8);
            bench.refuses("adamW with one moment in host memory", bad,
                () -> bench.device().adamW(x, x, pinned, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 1, 1f));
        }
        bench.refuses("adamW in step 0", bad, () -> bench.device().adamW(x, x, x, x, 1f, 0.9f, 0.9f, 1e-8f, 0f, 0, 1f));
    }
}
