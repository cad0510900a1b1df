package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.respec.kernels.DType;
import org.respec.kernels.PolicyTerms;
import org.respec.kernels.Tensor;

/** Checks of the fused policy-gradient loss, in place and into a gradient of another type. */
final class PolicyLossChecks {
    private static final int[][] SHAPES = {{0, 8}, {1, 1}, {3, 2}, {41, 18}, {5, 401}, {3, 1271}, {4, 2048}, {2, 9001}};

    private PolicyLossChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType logits : List.of(DType.F32, DType.BF16)) {
            for (DType gradient : List.of(DType.F32, DType.BF16)) {
                checks.add(new OperatorCheck("policyLoss " + (logits + " to " + gradient).toLowerCase(Locale.ROOT),
                    bench -> shapes(bench, logits, gradient)));
            }
        }
        checks.add(new OperatorCheck("policyLoss row by row", PolicyLossChecks::rowByRow));
        checks.add(new OperatorCheck("policyLoss refusals", PolicyLossChecks::refusals));
        checks.add(new OperatorCheck("policyLoss faults", PolicyLossChecks::faults));
        return checks;
    }

    /** What rows' losses are made of, on both sides. */
    private record Rows(Twin targets, Twin weights, Twin advantages, Twin old, Twin reference, Twin rollout) {
        /** Log-probabilities near those of the targets, so that some ratios are clipped and some weights capped. */
        static Rows random(CheckBench bench, Twin logits, float temperature, int rows) {
            Twin targets = bench.randomInts(rows, logits.cols());
            Twin now = bench.poisoned(DType.F32, 1, rows, 0);
            bench.truth().logProbs(logits.truth(), targets.truth(), temperature, now.truth(), rows);
            Twin weights = bench.poisoned(DType.F32, 1, rows, 0);
            for (int r = 0; r < rows; r++) {
                weights.set(0, r, r % 5 == 2 ? 0 : 0.1 + bench.random().nextDouble());
            }
            weights.push();
            return new Rows(targets, weights, bench.normal(DType.F32, 1, rows, 0, 1), near(bench, now), near(bench, now), near(bench, now));
        }

        /** Not so near that rounding decides what is clipped. */
        private static Twin near(CheckBench bench, Twin now) {
            Twin near = bench.poisoned(DType.F32, 1, now.cols(), 0);
            for (int r = 0; r < now.cols(); r++) {
                double away = 0.05 + 0.6 * bench.random().nextDouble();
                away = Math.abs(away - 0.19) < 0.05 ? 0.1 : Math.abs(away - 0.34) < 0.03 ? 0.4 : away;
                near.set(0, r, now.want(0, r) + (bench.random().nextBoolean() ? away : -away));
            }
            near.push();
            return near;
        }

        /** @param mode a bit each for old, reference and rollout */
        PolicyTerms terms(boolean device, int mode) {
            return new PolicyTerms(side(weights, device), side(advantages, device), (mode & 1) == 0 ? null : side(old, device),
                (mode & 2) == 0 ? null : side(reference, device), (mode & 4) == 0 ? null : side(rollout, device), 0.2f, 0.4f, 0.3f, 1.25f);
        }

        private static Tensor side(Twin twin, boolean device) {
            return device ? twin.device() : twin.truth();
        }
    }

    private static void shapes(CheckBench bench, DType dtype, DType gradientType) {
        for (int[] shape : SHAPES) {
            for (int mode = 0; mode < 8; mode++) {
                for (int gap : mode % 2 == 0 ? new int[] {0, 8} : new int[] {3}) {
                    compare(bench, dtype, gradientType, shape[0], shape[1], gap, mode);
                }
            }
        }
    }

    private static void compare(CheckBench bench, DType dtype, DType gradientType, int rows, int vocab, int gap, int mode) {
        String what = "policyLoss " + rows + "x" + vocab + ", gap " + gap + ", terms " + mode;
        float temperature = mode < 4 ? 1f : 0.8f;
        Twin logits = bench.normal(dtype, rows + 1, vocab, gap, 2);
        Rows in = Rows.random(bench, logits, temperature, rows + 1);
        Twin logProbs = bench.poisoned(DType.F32, 1, rows + 1, 0);
        boolean inPlace = dtype == gradientType;
        Twin gradient = inPlace ? logits : bench.poisoned(gradientType, rows + 1, vocab, gap + 1);
        double[] past = new double[vocab];
        for (int x = 0; x < vocab; x++) {
            past[x] = logits.want(rows, x);
        }
        bench.truth().policyLoss(logits.truth(), in.targets.truth(), temperature, in.terms(false, mode), logProbs.truth(), gradient.truth(),
            rows);
        bench.device().policyLoss(logits.device(), in.targets.device(), temperature, in.terms(true, mode), logProbs.device(),
            gradient.device(), rows);
        bench.compare(what, gradient, rows, gradientType == DType.BF16 ? 8e-3 : 5e-5, 5e-7);
        logProbs.pull();
        for (int r = 0; r < rows; r++) {
            bench.near(what + ": log-probability of row " + r, logProbs.want(0, r), logProbs.got(0, r), 1e-5, 1e-5);
        }
        bench.require(Double.isNaN(logProbs.got(0, rows)), what + ": a log-probability past the rows was written");
        if (inPlace) {
            for (int x = 0; x < vocab; x++) {
                bench.require(logits.got(rows, x) == past[x], what + ": the row past the live ones was written");
            }
        } else {
            bench.untouched(what, gradient, rows);
        }
    }

    private static void rowByRow(CheckBench bench) {
        int rows = 5;
        for (int vocab : new int[] {401, 9001}) {
            Twin logits = bench.normal(DType.F32, rows, vocab, 0, 3);
            Rows in = Rows.random(bench, logits, 1f, rows);
            Twin logProbs = bench.poisoned(DType.F32, 1, rows, 0);
            Twin gradient = bench.poisoned(DType.BF16, rows, vocab, 0);
            bench.device().policyLoss(logits.device(), in.targets.device(), 1f, in.terms(true, 7), logProbs.device(), gradient.device(),
                rows);
            gradient.pull();
            logProbs.pull();
            for (int r = 0; r < rows; r++) {
                Twin one = bench.poisoned(DType.F32, 1, 1, 0);
                Twin slope = bench.poisoned(DType.BF16, 1, vocab, 0);
                bench.device().policyLoss(logits.device().rows(r, r + 1), in.targets.device().columns(r, r + 1), 1f,
                    in.terms(true, 7).columns(r, r + 1), one.device(), slope.device(), 1);
                one.pull();
                slope.pull();
                bench.require(one.got(0, 0) == logProbs.got(0, r), "log-probability of row " + r + " of " + vocab + " differs alone");
                for (int x = 0; x < vocab; x++) {
                    bench.require(slope.got(0, x) == gradient.got(r, x), "gradient of row " + r + " of " + vocab + " differs alone");
                }
            }
        }
    }

    private static void refusals(CheckBench bench) {
        Twin logits = bench.normal(DType.F32, 2, 8, 0, 1);
        Twin other = bench.normal(DType.F32, 2, 7, 0, 1);
        Rows in = Rows.random(bench, logits, 1f, 2);
        Twin few = bench.poisoned(DType.F32, 1, 1, 0);
        Twin logProbs = bench.poisoned(DType.F32, 1, 2, 0);
        PolicyTerms terms = in.terms(true, 7);
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        Tensor x = logits.device();
        Tensor targets = in.targets.device();
        Tensor out = logProbs.device();
        bench.refuses("a gradient of another shape", bad,
            () -> bench.device().policyLoss(x, targets, 1f, terms, out, other.device(), 2));
        bench.refuses("integers for a gradient", bad, () -> bench.device().policyLoss(x, targets, 1f, terms, out, targets, 2));
        bench.refuses("too few log-probabilities", bad, () -> bench.device().policyLoss(x, targets, 1f, terms, few.device(), x, 2));
        bench.refuses("more rows than there are", bad, () -> bench.device().policyLoss(x, targets, 1f, terms, out, x, 3));
        bench.refuses("a gradient one row on", bad, () -> bench.device().policyLoss(x.rows(0, 1), targets, 1f, terms, out,
            new Tensor(DType.F32, 1, 8, 8, x.offset() + 1, x.storage()), 1));
        bench.refuses("too few weights", bad, () -> bench.device().policyLoss(x, targets, 1f, new PolicyTerms(few.device(),
            terms.advantages(), terms.old(), null, null, 0.2f, 0.2f, 0, 0), out, x, 2));
        bench.refuses("a negative cap", bad, () -> bench.device().policyLoss(x, targets, 1f, new PolicyTerms(terms.weights(),
            terms.advantages(), terms.old(), null, terms.rollout(), 0.2f, 0.2f, 0, -1f), out, x, 2));
    }

    /** A target outside the vocabulary and a logit that is no number are reported when results are asked for. */
    private static void faults(CheckBench bench) {
        Twin logits = bench.normal(DType.F32, 2, 8, 0, 1);
        Rows in = Rows.random(bench, logits, 1f, 2);
        Twin wrong = bench.ints(3, 8);
        Twin logProbs = bench.poisoned(DType.F32, 1, 2, 0);
        bench.refuses("a target of 8 of 8", RuntimeException.class, () -> {
            bench.device().policyLoss(logits.device(), wrong.device(), 1f, in.terms(true, 7), logProbs.device(), logits.device(), 2);
            bench.device().synchronize();
        });
        logits.set(1, 3, Double.NaN);
        logits.push();
        bench.refuses("a NaN", RuntimeException.class, () -> {
            bench.device().policyLoss(logits.device(), in.targets.device(), 1f, in.terms(true, 7), logProbs.device(), logits.device(), 2);
            bench.device().synchronize();
        });
    }
}
