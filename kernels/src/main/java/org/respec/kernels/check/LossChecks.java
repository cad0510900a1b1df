package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.respec.kernels.DType;

/** Checks of fused distillation: top-k and dense teachers, whole and reduced vocabularies. */
final class LossChecks {
    /** Rounding of a gradient's storage, and of sums and exponentials before it. */
    private record Tolerance(double relative, double absolute) {
        static Tolerance of(DType dtype) {
            return dtype == DType.BF16 ? new Tolerance(4e-3, 1e-5) : new Tolerance(2e-5, 2e-6);
        }
    }

    /** Wide and odd rows; 1271 is no multiple of a pack, 2048 is one. */
    private static final int[][] SHAPES = {{0, 8}, {1, 1}, {3, 2}, {3, 41}, {41, 8}, {5, 401}, {2, 1271}, {3, 2048}, {1, 5003}};
    private static final int[] GAPS = {0, 3, 8};

    private LossChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : List.of(DType.F32, DType.BF16)) {
            String type = dtype.name().toLowerCase(Locale.ROOT);
            checks.add(new OperatorCheck("klDistill " + type, bench -> topK(bench, dtype)));
            checks.add(new OperatorCheck("klDistill with total variation " + type, bench -> topKVariation(bench, dtype)));
            checks.add(new OperatorCheck("klDistill into a smaller vocabulary " + type, bench -> topKReduced(bench, dtype)));
            checks.add(new OperatorCheck("klDistill of rows past shared memory " + type, bench -> topKLarge(bench, dtype)));
            checks.add(new OperatorCheck("klDistill row by row " + type, bench -> topKRowInvariance(bench, dtype)));
            for (DType teacher : List.of(DType.F32, DType.BF16)) {
                String both = type + " from " + teacher.name().toLowerCase(Locale.ROOT);
                checks.add(new OperatorCheck("klDistillDense " + both, bench -> dense(bench, dtype, teacher)));
                checks.add(new OperatorCheck("klDistillDense of rows past shared memory " + both,
                    bench -> denseLarge(bench, dtype, teacher)));
            }
            checks.add(new OperatorCheck("klDistillDense row by row " + type, bench -> denseRowInvariance(bench, dtype)));
        }
        checks.add(new OperatorCheck("klDistill refusals", LossChecks::refusals));
        checks.add(new OperatorCheck("klDistill faults", LossChecks::faults));
        return checks;
    }

    // -------------------------------------------------------------------------------------------------------------- top k

    /** What a top-k teacher leaves behind, on both sides. */
    private record Teacher(Twin ids, Twin logProbs, Twin tails) {
        /** @param none rows divisible by this have no tail */
        static Teacher random(CheckBench bench, int rows, int vocab, int k, int gap, int none) {
            Twin ids = bench.poisoned(DType.I32, rows, k, gap);
            Twin logProbs = bench.poisoned(DType.F32, rows, k, gap);
            Twin tails = bench.poisoned(DType.F32, 1, rows, 0);
            for (int r = 0; r < rows; r++) {
                int[] named = distinct(bench, vocab, k);
                double[] masses = new double[k + 1];
                for (int j = 0; j <= k; j++) {
                    masses[j] = Math.exp(2 * bench.gaussian());
                }
                if (k == vocab || r % none == 0) {
                    masses[k] = 0;
                }
                double sum = Arrays.stream(masses).sum();
                for (int j = 0; j < k; j++) {
                    ids.set(r, j, named[j]);
                    logProbs.set(r, j, Math.log(masses[j] / sum));
                }
                tails.set(0, r, masses[k] == 0 ? -30 : Math.log(masses[k] / sum));
            }
            ids.push();
            logProbs.push();
            tails.push();
            return new Teacher(ids, logProbs, tails);
        }
    }

    private static int[] distinct(CheckBench bench, int bound, int count) {
        return bench.random().ints(0, bound).distinct().limit(count).toArray();
    }

    private static Twin weights(CheckBench bench, int rows) {
        Twin weights = bench.poisoned(DType.F32, 1, rows, 0);
        for (int r = 0; r < rows; r++) {
            weights.set(0, r, r % 5 == 2 ? 0 : r % 5 == 3 ? -0.5 : 1 + bench.random().nextDouble());
        }
        weights.push();
        return weights;
    }

    private static void topK(CheckBench bench, DType dtype) {
        for (int[] shape : SHAPES) {
            for (int gap : GAPS) {
                for (float temperature : gap == 0 ? new float[] {1f, 0.6f, 0f} : new float[] {1.3f}) {
                    int k = Math.min(shape[1], gap == 3 ? 1 : 16);
                    compareTopK(bench, dtype, shape[0], shape[1], shape[1], k, gap, temperature, null);
                }
            }
        }
        compareTopK(bench, dtype, 2, 700, 700, 600, 0, 1f, null);
    }

    /** Blends, total variation alone included, over one and over a reduced vocabulary. */
    private static void topKVariation(CheckBench bench, DType dtype) {
        for (float variation : new float[] {0.3f, 1f}) {
            for (int[] shape : SHAPES) {
                compareTopK(bench, dtype, shape[0], shape[1], shape[1], Math.min(shape[1], 16), 3, 0.8f, null, variation);
            }
            int[] map = new int[1271];
            Arrays.fill(map, -1);
            int[] kept = distinct(bench, 1271, 401);
            for (int x = 0; x < kept.length; x++) {
                map[kept[x]] = x;
            }
            compareTopK(bench, dtype, 5, 401, 1271, 32, 1, 0.9f, bench.ints(map), variation);
        }
    }

    private static void topKReduced(CheckBench bench, DType dtype) {
        for (int[] sizes : new int[][] {{3, 2, 9, 5}, {5, 401, 1271, 32}, {3, 1000, 1001, 16}}) {
            int[] map = new int[sizes[2]];
            Arrays.fill(map, -1);
            int[] kept = distinct(bench, sizes[2], sizes[1]);
            for (int x = 0; x < kept.length; x++) {
                map[kept[x]] = x;
            }
            compareTopK(bench, dtype, sizes[0], sizes[1], sizes[2], sizes[3], 1, 0.9f, bench.ints(map));
        }
    }

    /** Rows that shared memory cannot hold, aligned and not: the second pass reads a part of them again. */
    private static void topKLarge(CheckBench bench, DType dtype) {
        compareTopK(bench, dtype, 2, dtype == DType.BF16 ? 152_064 : 76_032, 76_032, 16, 0, 1f, null);
        compareTopK(bench, dtype, 2, dtype == DType.BF16 ? 152_065 : 76_033, 76_033, 16, 0, 0.8f, null);
    }

    private static void compareTopK(CheckBench bench, DType dtype, int rows, int vocab, int teacherVocab, int k, int gap, float temperature,
                                    Twin map) {
        compareTopK(bench, dtype, rows, vocab, teacherVocab, k, gap, temperature, map, 0f);
    }

    private static void compareTopK(CheckBench bench, DType dtype, int rows, int vocab, int teacherVocab, int k, int gap, float temperature,
                                    Twin map, float variation) {
        String what = "klDistill " + rows + "x" + vocab + ", " + k + " named, gap " + gap + ", temperature " + temperature
            + (variation == 0 ? "" : ", total variation " + variation);
        Teacher teacher = Teacher.random(bench, rows + 1, teacherVocab, k, gap, 4);
        Twin logits = bench.normal(dtype, rows + 1, vocab, gap, 2);
        Twin weights = weights(bench, rows + 1);
        Twin losses = bench.poisoned(DType.F32, 1, Math.max(1, rows), 0);
        bench.truth().klDistill(logits.truth(), temperature, teacher.ids.truth(), teacher.logProbs.truth(), teacher.tails.truth(),
            map == null ? null : map.truth(), variation, weights.truth(), losses.truth(), rows);
        bench.device().klDistill(logits.device(), temperature, teacher.ids.device(), teacher.logProbs.device(), teacher.tails.device(),
            map == null ? null : map.device(), variation, weights.device(), losses.device(), rows);
        compare(bench, what, dtype, logits, losses, rows);
    }

    private static void teach(CheckBench bench, Twin logits, float temperature, Teacher teacher, Twin map, Twin weights, Twin losses,
                              int rows) {
        bench.device().klDistill(logits.device(), temperature, teacher.ids.device(), teacher.logProbs.device(), teacher.tails.device(),
            map == null ? null : map.device(), weights.device(), losses.device(), rows);
    }

    /** The row past the live ones is compared too: both sides must have left it alone. */
    private static void compare(CheckBench bench, String what, DType dtype, Twin logits, Twin losses, int rows) {
        Tolerance tolerance = Tolerance.of(dtype);
        bench.compare(what + ", gradient", logits, rows + 1, tolerance.relative, tolerance.absolute);
        if (rows > 0) {
            bench.compare(what + ", losses", losses, 1, 1e-5, 1e-5);
        } else {
            bench.untouched(what + ", losses", losses, 0);
        }
    }

    /** Equal rows give equal bits, wherever they lie: at a gap of 3 no two are aligned alike. */
    private static void topKRowInvariance(CheckBench bench, DType dtype) {
        for (int vocab : new int[] {401, 5003, dtype == DType.BF16 ? 120_001 : 60_001}) {
            int rows = vocab > 10_000 ? 2 : 5;
            Teacher one = Teacher.random(bench, 1, vocab, 16, 0, 4);
            Teacher teacher = new Teacher(repeated(bench, DType.I32, one.ids, rows, 0), repeated(bench, DType.F32, one.logProbs, rows, 0),
                bench.poisoned(DType.F32, 1, rows, 0));
            Twin logits = repeated(bench, dtype, bench.normal(dtype, 1, vocab, 0, 2), rows, 3);
            Twin weights = bench.poisoned(DType.F32, 1, rows, 0);
            Twin losses = bench.poisoned(DType.F32, 1, rows, 0);
            for (int r = 0; r < rows; r++) {
                weights.set(0, r, 1.25);
                teacher.tails.set(0, r, -1.5);
            }
            weights.push();
            teacher.tails.push();
            teach(bench, logits, 0.9f, teacher, null, weights, losses, rows);
            requireEqualRows(bench, "klDistill of " + vocab, logits, losses);
        }
    }

    private static Twin repeated(CheckBench bench, DType dtype, Twin row, int rows, int gap) {
        Twin twin = bench.poisoned(dtype, rows, row.cols(), gap);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < row.cols(); c++) {
                twin.set(r, c, row.want(0, c));
            }
        }
        twin.push();
        return twin;
    }

    private static void requireEqualRows(CheckBench bench, String what, Twin logits, Twin losses) {
        logits.pull();
        losses.pull();
        for (int r = 1; r < logits.rows(); r++) {
            for (int c = 0; c < logits.cols(); c++) {
                if (logits.got(r, c) != logits.got(0, c)) {
                    throw bench.failure(what + ": equal rows 0 and " + r + " differ in column " + c + ": " + logits.got(0, c) + " and "
                        + logits.got(r, c));
                }
            }
            bench.require(losses.got(0, r) == losses.got(0, 0), what + ": equal rows 0 and " + r + " have losses "
                + losses.got(0, 0) + " and " + losses.got(0, r));
        }
    }

    // -------------------------------------------------------------------------------------------------------------- dense

    private static void dense(CheckBench bench, DType dtype, DType teacherType) {
        for (int[] shape : SHAPES) {
            for (int gap : GAPS) {
                compareDense(bench, dtype, teacherType, shape[0], shape[1], shape[1], gap, gap == 3 ? 0.7f : 1f, null);
            }
        }
        for (int[] sizes : new int[][] {{3, 2, 9}, {5, 401, 1271}, {3, 1000, 1001}}) {
            int[] columns = distinct(bench, sizes[2], sizes[1]);
            compareDense(bench, dtype, teacherType, sizes[0], sizes[1], sizes[2], 1, 1.2f, bench.ints(columns));
        }
    }

    private static void denseLarge(CheckBench bench, DType dtype, DType teacherType) {
        int vocab = dtype == DType.BF16 ? 80_000 : 40_000;
        compareDense(bench, dtype, teacherType, 1, vocab, vocab, 0, 1f, null);
        compareDense(bench, dtype, teacherType, 1, vocab + 1, vocab + 1, 0, 1f, null);
    }

    private static void compareDense(CheckBench bench, DType dtype, DType teacherType, int rows, int vocab, int teacherVocab, int gap,
                                     float teacherTemperature, Twin columns) {
        String what = "klDistillDense " + rows + "x" + vocab + " of " + teacherVocab + ", gap " + gap;
        Twin logits = bench.normal(dtype, rows + 1, vocab, gap, 2);
        Twin teacher = bench.poisoned(teacherType, rows + 1, teacherVocab, gap);
        for (int r = 0; r <= rows; r++) {
            for (int c = 0; c < teacherVocab; c++) {
                // Some tokens have no probability; one row has none of the student's at all.
                boolean none = teacherVocab > 2 && (c % 7 == 3 || r % 7 == 4);
                teacher.set(r, c, none ? Double.NEGATIVE_INFINITY : 2 * bench.gaussian());
            }
        }
        teacher.push();
        Twin weights = weights(bench, rows + 1);
        Twin losses = bench.poisoned(DType.F32, 1, Math.max(1, rows), 0);
        bench.truth().klDistillDense(logits.truth(), 0.8f, teacher.truth(), teacherTemperature, columns == null ? null : columns.truth(),
            weights.truth(), losses.truth(), rows);
        bench.device().klDistillDense(logits.device(), 0.8f, teacher.device(), teacherTemperature,
            columns == null ? null : columns.device(), weights.device(), losses.device(), rows);
        compare(bench, what, dtype, logits, losses, rows);
    }

    private static void denseRowInvariance(CheckBench bench, DType dtype) {
        for (int vocab : new int[] {401, 5003, dtype == DType.BF16 ? 60_001 : 30_001}) {
            int rows = vocab > 10_000 ? 2 : 5;
            Twin logits = repeated(bench, dtype, bench.normal(dtype, 1, vocab, 0, 2), rows, 3);
            Twin teacher = repeated(bench, DType.F32, bench.normal(DType.F32, 1, vocab, 0, 2), rows, 1);
            Twin weights = bench.poisoned(DType.F32, 1, rows, 0);
            for (int r = 0; r < rows; r++) {
                weights.set(0, r, 1.25);
            }
            weights.push();
            Twin losses = bench.poisoned(DType.F32, 1, rows, 0);
            bench.device().klDistillDense(logits.device(), 0.9f, teacher.device(), 1f, null, weights.device(), losses.device(), rows);
            requireEqualRows(bench, "klDistillDense of " + vocab, logits, losses);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- bad input

    private static void refusals(CheckBench bench) {
        Teacher teacher = Teacher.random(bench, 2, 9, 3, 0, 4);
        Twin logits = bench.normal(DType.F32, 2, 9, 0, 1);
        Twin vector = bench.normal(DType.F32, 1, 2, 0, 1);
        Twin losses = bench.poisoned(DType.F32, 1, 2, 0);
        bench.refuses("klDistill of integers", IllegalArgumentException.class,
            () -> teach(bench, teacher.ids, 1f, teacher, null, vector, losses, 2));
        bench.refuses("klDistill of three rows", IllegalArgumentException.class,
            () -> teach(bench, logits, 1f, teacher, null, vector, losses, 3));
        bench.refuses("klDistill with ids in floats", IllegalArgumentException.class,
            () -> teach(bench, logits, 1f, new Teacher(teacher.logProbs, teacher.logProbs, teacher.tails), null, vector, losses, 2));
        bench.refuses("klDistill with a map in floats", IllegalArgumentException.class,
            () -> teach(bench, logits, 1f, teacher, vector, vector, losses, 2));
        for (float bad : new float[] {-0.1f, 1.1f, Float.NaN}) {
            bench.refuses("klDistill with a weight of total variation of " + bad, IllegalArgumentException.class,
                () -> bench.device().klDistill(logits.device(), 1f, teacher.ids.device(), teacher.logProbs.device(), teacher.tails.device(),
                    null, bad, vector.device(), losses.device(), 2));
        }
        Teacher many = new Teacher(bench.poisoned(DType.I32, 2, 5000, 0), bench.poisoned(DType.F32, 2, 5000, 0), teacher.tails);
        bench.refuses("klDistill with 5000 named tokens", IllegalArgumentException.class,
            () -> teach(bench, logits, 1f, many, null, vector, losses, 2));
        Twin narrow = bench.normal(DType.F32, 2, 8, 0, 1);
        bench.refuses("klDistillDense of another vocabulary", IllegalArgumentException.class,
            () -> bench.device().klDistillDense(logits.device(), 1f, narrow.device(), 1f, null, vector.device(), losses.device(), 2));
        bench.refuses("klDistillDense with few columns", IllegalArgumentException.class,
            () -> bench.device().klDistillDense(logits.device(), 1f, narrow.device(), 1f, bench.ints(1, 2).device(), vector.device(),
                losses.device(), 2));
        bench.refuses("klDistillDense of its own teacher", IllegalArgumentException.class,
            () -> bench.device().klDistillDense(logits.device(), 1f, logits.device(), 1f, null, vector.device(), losses.device(), 2));
        bench.compareExactly("logits after refusals", logits, 2);
        bench.untouched("losses after refusals", losses, 0);
    }

    /** Ids that only the device sees: the row is left alone, the others are done, and the host learns of it when it waits. */
    private static void faults(CheckBench bench) {
        for (int bad : new int[] {-1, 9, Integer.MAX_VALUE}) {
            Teacher teacher = Teacher.random(bench, 3, 9, 3, 0, 4);
            Twin logits = bench.normal(DType.F32, 3, 9, 0, 1);
            Twin weights = bench.poisoned(DType.F32, 1, 3, 0);
            for (int r = 0; r < 3; r++) {
                weights.set(0, r, r == 1 ? 0 : 1);
            }
            weights.push();
            Twin losses = bench.poisoned(DType.F32, 1, 3, 0);
            bench.truth().klDistill(logits.truth().rows(0, 2), 1f, teacher.ids.truth(), teacher.logProbs.truth(), teacher.tails.truth(),
                weights.truth(), losses.truth(), 2);
            teacher.ids.set(1, 0, bad);
            teacher.ids.set(2, 1, bad);
            teacher.ids.push();
            bench.refuses("klDistill with the id " + bad, IllegalArgumentException.class, () -> {
                teach(bench, logits, 1f, teacher, null, weights, losses, 3);
                bench.device().synchronize();
            });
            bench.compare("rows around one with the id " + bad, logits, 3, 2e-5, 2e-6);
            Twin columns = bench.ints(0, 1, 2, 3, 4, 5, 6, 7, bad);
            Twin taught = bench.normal(DType.F32, 3, 9, 0, 1);
            bench.refuses("klDistillDense with the column " + bad, IllegalArgumentException.class, () -> {
                bench.device().klDistillDense(logits.device(), 1f, taught.device(), 1f, columns.device(), weights.device(),
                    losses.device(), 3);
                bench.device().synchronize();
            });
        }
    }
}
