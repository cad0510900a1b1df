package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.respec.kernels.DType;
import org.respec.kernels.NoiseField;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.gpu.GpuOps;

/** Checks of the noise field, of coupled sampling with and without filters, and of log-probabilities and their gradient. */
final class SamplingChecks {
    private static final int REQUESTS = 5;
    private static final SamplingParams PLAIN = SamplingParams.temperature(1f);
    private static final SamplingParams[] UNFILTERED = {
        PLAIN, SamplingParams.GREEDY, SamplingParams.temperature(0.6f), new SamplingParams(1.3f, 1 << 20, 1f),
        new SamplingParams(0f, 2, 0.5f),
    };
    private static final SamplingParams[] FILTERED = {
        new SamplingParams(1f, 1, 1f), new SamplingParams(1f, 5, 1f), new SamplingParams(0.7f, 50, 1f), new SamplingParams(1f, 0, 0.9f),
        new SamplingParams(0.8f, 20, 0.8f), new SamplingParams(1.5f, 0, 0.05f), new SamplingParams(1f, 300, 0.999f),
    };

    private SamplingChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        checks.add(new OperatorCheck("noise field", SamplingChecks::noiseField));
        checks.add(new OperatorCheck("noise of extreme words", SamplingChecks::noiseOfWords));
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("sample" + name, bench -> sample(bench, dtype, UNFILTERED, 1e-5)));
            checks.add(new OperatorCheck("sample filtered" + name, bench -> sample(bench, dtype, FILTERED, 1e-5)));
            checks.add(new OperatorCheck("topLogProbs" + name, bench -> topLogProbs(bench, dtype)));
            checks.add(new OperatorCheck("logProbs" + name, bench -> logProbs(bench, dtype)));
            double rounding = dtype == DType.F32 ? 2e-5 : 8e-3;
            checks.add(new OperatorCheck("logProbsBackward" + name, bench -> logProbsBackward(bench, dtype, rounding)));
        }
        checks.add(new OperatorCheck("topLogProbs of the largest vocabulary", SamplingChecks::largestVocabulary));
        checks.add(new OperatorCheck("sample wide f32", bench -> wide(bench, DType.F32)));
        checks.add(new OperatorCheck("sample wide bf16", bench -> wide(bench, DType.BF16)));
        checks.add(new OperatorCheck("sample degenerate", SamplingChecks::degenerate));
        checks.add(new OperatorCheck("sample row by row", SamplingChecks::rowByRow));
        checks.add(new OperatorCheck("sample faults", SamplingChecks::faults));
        checks.add(new OperatorCheck("sample refusals", SamplingChecks::refusals));
        return checks;
    }

    // -------------------------------------------------------------------------------------------------------------- noise

    private static GpuOps gpu(CheckBench bench) {
        if (bench.device() instanceof GpuOps gpu) {
            return gpu;
        }
        throw bench.failure("the noise check is for GpuOps, got " + bench.device().getClass());
    }

    private static void noiseField(CheckBench bench) {
        long[] requests = {0, 1, -1, 1L << 62, Long.MIN_VALUE, 0x123456789L};
        int[] positions = {0, 1, 4095, Integer.MAX_VALUE};
        int tokens = 1271;
        float[] want = new float[(tokens + 7) & ~7];
        int[] words = new int[want.length];
        for (long request : requests) {
            for (int position : positions) {
                long seed = bench.random().nextLong();
                Twin noise = bench.poisoned(DType.F32, 1, tokens, 0);
                gpu(bench).noiseField(seed, request, position, noise.device());
                NoiseField.fill(seed, request, position, tokens, words, want);
                compareNoise(bench, "seed " + seed + ", request " + request + ", position " + position, noise, want);
            }
        }
    }

    private static void compareNoise(CheckBench bench, String what, Twin noise, float[] want) {
        noise.pull();
        for (int x = 0; x < noise.cols(); x++) {
            float got = (float) noise.got(0, x);
            bench.require(Float.floatToRawIntBits(got) == Float.floatToRawIntBits(want[x]),
                "noise of " + what + ", element " + x + ": expected " + want[x] + ", got " + got);
        }
    }

    /** Words around every power of two, at the seams of the logarithms, and many others: bits, and the bounds that sampling prunes by. */
    private static void noiseOfWords(CheckBench bench) {
        TreeSet<Integer> words = new TreeSet<>();
        for (int near = -2; near <= 2; near++) {
            words.add(0xB504F334 + near);
            words.add(0xf8000000 + near);
            for (int shift = 0; shift < 32; shift++) {
                words.add((1 << shift) + near);
                words.add(~((1 << shift) + near));
                words.add((0xB504F334 >>> shift) + near);
                words.add(~(0xB504F334 >>> shift) + near);
            }
        }
        for (int i = 0; i < 60_000; i++) {
            // Every size of the word and of its complement alike.
            int word = bench.random().nextInt() >>> bench.random().nextInt(32);
            words.add(i % 2 == 0 ? word : ~word);
        }
        int[] all = words.stream().mapToInt(Integer::intValue).toArray();
        Twin given = bench.ints(all);
        Twin noise = bench.poisoned(DType.F32, 1, all.length, 0);
        Twin sound = bench.poisoned(DType.I32, 1, all.length, 0);
        gpu(bench).noiseOfWords(given.device(), noise.device(), sound.device());
        float[] want = new float[all.length];
        for (int i = 0; i < all.length; i++) {
            want[i] = NoiseField.gumbel(all[i]);
        }
        compareNoise(bench, "words", noise, want);
        sound.pull();
        for (int i = 0; i < all.length; i++) {
            bench.require(sound.got(0, i) == 7, "bounds of the noise of word " + Integer.toHexString(all[i]) + ": " + sound.got(0, i));
        }
    }

    // ------------------------------------------------------------------------------------------------------------- sample

    private static BatchPair batch(CheckBench bench, int rows) {
        SplittableRandom random = bench.random();
        BatchPair batch = new BatchPair(bench, rows + 1, REQUESTS);
        for (int r = 0; r < REQUESTS; r++) {
            batch.requestIds.setLong(r, r == 0 ? Long.MIN_VALUE + 3 : random.nextLong());
        }
        for (int i = 0; i < rows; i++) {
            batch.positions.setInt(i, random.nextInt(100_000));
            batch.rowRequests.setInt(i, random.nextInt(REQUESTS));
        }
        batch.push();
        return batch;
    }

    /** Normal logits; a third of the rows rounded to quarters, so that many are equal, a third with one token far ahead. */
    private static Twin logits(CheckBench bench, DType dtype, int rows, int vocab, int gap, double scale) {
        Twin logits = bench.poisoned(dtype, rows, vocab, gap);
        for (int r = 0; r < rows; r++) {
            for (int x = 0; x < vocab; x++) {
                double z = scale * bench.gaussian();
                logits.set(r, x, r % 3 == 1 ? Math.rint(4 * z) / 4 : z);
            }
            if (r % 3 == 2) {
                logits.set(r, bench.random().nextInt(vocab), 12 * scale);
            }
        }
        logits.push();
        return logits;
    }

    private static void sample(CheckBench bench, DType dtype, SamplingParams[] kinds, double tolerance) {
        for (int vocab : new int[] {1, 3, 18, 41, 401, 1271, 1272}) {
            for (int rows : new int[] {0, 1, vocab > 401 ? 4 : 41}) {
                BatchPair batch = batch(bench, rows);
                for (SamplingParams params : kinds) {
                    Twin logits = logits(bench, dtype, rows + 1, vocab, vocab % 3 == 0 ? 8 : 3, params.topP() < 1 ? 1.5 : 3);
                    compareSamples(bench, logits, batch, params, rows, tolerance);
                }
            }
        }
    }

    private static void compareSamples(CheckBench bench, Twin logits, BatchPair batch, SamplingParams params, int rows, double tolerance) {
        String what = "sample " + rows + " of " + logits.device() + ", " + params;
        long seed = bench.random().nextLong();
        Twin tokens = bench.ints(new int[rows + 1]);
        Twin logProbs = bench.poisoned(DType.F32, 1, rows + 1, 0);
        bench.truth().sample(logits.truth(), batch.truth, params, seed, tokens.truth(), logProbs.truth(), rows);
        bench.device().sample(logits.device(), batch.device, params, seed, tokens.device(), logProbs.device(), rows);
        bench.compareExactly(what + ": tokens", tokens, 1);
        logProbs.pull();
        for (int r = 0; r < rows; r++) {
            bench.near(what + ": log-probability of row " + r, logProbs.want(0, r), logProbs.got(0, r), tolerance, tolerance);
        }
        bench.require(Double.isNaN(logProbs.got(0, rows)), what + ": a log-probability past the rows was written");
    }

    /** Rows of several chunks, with a vocabulary that is no multiple of anything and one that is. */
    private static void wide(CheckBench bench, DType dtype) {
        for (int vocab : new int[] {8192 * 3 + 41, 32_768}) {
            for (double scale : new double[] {0, 2, 9}) {
                int rows = 3;
                BatchPair batch = batch(bench, rows);
                Twin logits = logits(bench, dtype, rows, vocab, 0, scale);
                compareSamples(bench, logits, batch, PLAIN, rows, 1e-5);
                if (scale == 2) {
                    compareSamples(bench, logits, batch, SamplingParams.GREEDY, rows, 1e-5);
                    compareSamples(bench, logits, batch, new SamplingParams(1f, 40, 0.95f), rows, 1e-5);
                    compareSamples(bench, logits, batch, new SamplingParams(1f, 0, 0.7f), rows, 1e-5);
                }
            }
        }
    }

    /** Equal logits, huge ones, and rows that are minus infinity but for a token or a chunk. */
    private static void degenerate(CheckBench bench) {
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            for (int vocab : new int[] {2, 41, 12_000}) {
                Twin logits = bench.poisoned(dtype, 7, vocab, 0);
                for (int x = 0; x < vocab; x++) {
                    logits.set(0, x, -2.5);
                    logits.set(1, x, 1e9);
                    logits.set(2, x, -1e9);
                    logits.set(3, x, x == vocab - 1 ? -3 : Double.NEGATIVE_INFINITY);
                    logits.set(4, x, x < vocab / 2 ? Double.NEGATIVE_INFINITY : bench.gaussian());
                    logits.set(5, x, x % 2 == 0 ? 0. : -0.);
                    logits.set(6, x, x % 3 == 0 ? 3e38 : -3e38);
                }
                logits.push();
                BatchPair batch = batch(bench, 7);
                for (SamplingParams params : new SamplingParams[] {PLAIN, SamplingParams.GREEDY, new SamplingParams(1f, vocab / 2, 1f),
                    new SamplingParams(1f, 1, 0.5f), new SamplingParams(1f, 0, 0.3f)}) {
                    compareSamples(bench, logits, batch, params, 7, 1e-5);
                }
            }
        }
    }

    /** A row's bits are the same alone and among others, and those of logProbs of its token. */
    private static void rowByRow(CheckBench bench) {
        int rows = 5;
        for (int vocab : new int[] {401, 9001}) {
            BatchPair batch = batch(bench, rows);
            BatchPair single = batch(bench, 1);
            Twin logits = logits(bench, DType.BF16, rows, vocab, 0, 3);
            Twin tokens = bench.ints(new int[rows]);
            Twin logProbs = bench.poisoned(DType.F32, 1, rows, 0);
            Twin again = bench.poisoned(DType.F32, 1, rows, 0);
            bench.device().sample(logits.device(), batch.device, PLAIN, 11, tokens.device(), logProbs.device(), rows);
            bench.device().logProbs(logits.device(), tokens.device(), 1f, again.device(), rows);
            tokens.pull();
            logProbs.pull();
            again.pull();
            for (int r = 0; r < rows; r++) {
                bench.require(logProbs.got(0, r) == again.got(0, r), "log-probability of row " + r + " is " + logProbs.got(0, r)
                    + " from sample and " + again.got(0, r) + " from logProbs");
                single.positions.setInt(0, batch.positions.want(r));
                single.rowRequests.setInt(0, batch.rowRequests.want(r));
                for (int q = 0; q < REQUESTS; q++) {
                    single.requestIds.setLong(q, batch.requestIds.wantLong(q));
                }
                single.push();
                Twin token = bench.ints(-1);
                Twin logProb = bench.poisoned(DType.F32, 1, 1, 0);
                bench.device().sample(logits.device().rows(r, r + 1), single.device, PLAIN, 11, token.device(), logProb.device(), 1);
                token.pull();
                logProb.pull();
                bench.require(token.got(0, 0) == tokens.got(0, r) && logProb.got(0, 0) == logProbs.got(0, r),
                    "row " + r + " of " + vocab + " tokens differs alone");
            }
        }
    }

    private static void faults(CheckBench bench) {
        double[] wrong = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
        for (int vocab : new int[] {18, 12_000}) {
            for (double value : wrong) {
                Twin logits = bench.normal(DType.F32, 3, vocab, 0, 1);
                for (int x = 0; x < vocab; x++) {
                    if (x == vocab / 2 || value == Double.NEGATIVE_INFINITY) {
                        logits.set(1, x, value);
                    }
                }
                logits.push();
                BatchPair batch = batch(bench, 3);
                Twin tokens = bench.ints(0, 0, 0);
                Twin out = bench.poisoned(DType.F32, 1, 3, 0);
                Twin ids = bench.ints(0, 0, 0);
                Twin coefficients = bench.normal(DType.F32, 1, 3, 0, 1);
                for (SamplingParams params : new SamplingParams[] {PLAIN, SamplingParams.GREEDY, new SamplingParams(1f, 2, 0.9f)}) {
                    sameFault(bench, "sample " + params,
                        () -> bench.truth().sample(logits.truth(), batch.truth, params, 1, tokens.truth(), out.truth(), 3),
                        () -> bench.device().sample(logits.device(), batch.device, params, 1, tokens.device(), out.device(), 3));
                }
                sameFault(bench, "logProbs", () -> bench.truth().logProbs(logits.truth(), ids.truth(), 1f, out.truth(), 3),
                    () -> bench.device().logProbs(logits.device(), ids.device(), 1f, out.device(), 3));
                Twin top = bench.poisoned(DType.F32, 3, 2, 0);
                Twin topIds = bench.poisoned(DType.I32, 3, 2, 0);
                Twin rows = bench.ints(0, 1, 2);
                sameFault(bench, "topLogProbs",
                    () -> bench.truth().topLogProbs(logits.truth(), 1f, rows.truth(), 3, topIds.truth(), top.truth(), out.truth()),
                    () -> bench.device().topLogProbs(logits.device(), 1f, rows.device(), 3, topIds.device(), top.device(), out.device()));
                sameFault(bench, "logProbsBackward",
                    () -> bench.truth().logProbsBackward(logits.truth(), ids.truth(), 1f, coefficients.truth(), 3),
                    () -> bench.device().logProbsBackward(logits.device(), ids.device(), 1f, coefficients.device(), 3));
            }
        }
        Twin logits = bench.normal(DType.F32, 2, 41, 0, 1);
        Twin tokens = bench.ints(7, 41);
        Twin out = bench.poisoned(DType.F32, 1, 2, 0);
        BatchPair batch = batch(bench, 2);
        batch.rowRequests.setInt(1, REQUESTS);
        batch.push();
        indexFault(bench, "a target past the vocabulary",
            () -> bench.device().logProbs(logits.device(), tokens.device(), 1f, out.device(), 2));
        indexFault(bench, "a target past the vocabulary, backward",
            () -> bench.device().logProbsBackward(logits.device(), tokens.device(), 1f, out.device(), 2));
        for (SamplingParams params : new SamplingParams[] {PLAIN, new SamplingParams(1f, 3, 1f)}) {
            indexFault(bench, "a request past the batch, " + params,
                () -> bench.device().sample(logits.device(), batch.device, params, 1, tokens.device(), out.device(), 2));
        }
        Twin rows = bench.ints(0, 2);
        Twin top = bench.poisoned(DType.F32, 2, 2, 0);
        Twin topIds = bench.poisoned(DType.I32, 2, 2, 0);
        indexFault(bench, "a row past the logits", () -> bench.device().topLogProbs(logits.device(), 1f, rows.device(), 2, topIds.device(),
            top.device(), out.device()));
    }

    private static void indexFault(CheckBench bench, String what, Runnable action) {
        bench.refuses(what, IllegalArgumentException.class, () -> {
            action.run();
            bench.device().synchronize();
        });
        bench.device().synchronize();
    }

    /** Both sides must fail with the same sentence, and the device must then work on. */
    private static void sameFault(CheckBench bench, String what, Runnable truth, Runnable device) {
        String want = message(bench, what, truth);
        String got = message(bench, what, () -> {
            device.run();
            bench.device().synchronize();
        });
        bench.require(want.equals(got), what + ": expected the message '" + want + "', got '" + got + "'");
        bench.device().synchronize();
    }

    private static String message(CheckBench bench, String what, Runnable action) {
        try {
            action.run();
        } catch (IllegalStateException e) {
            return e.getMessage();
        }
        throw bench.failure(what + " accepted broken logits");
    }

    private static void refusals(CheckBench bench) {
        Twin logits = bench.normal(DType.F32, 3, 41, 0, 1);
        Twin ints = bench.randomInts(41, 3);
        BatchPair batch = batch(bench, 3);
        Twin tokens = bench.ints(0, 0, 0);
        Twin out = bench.poisoned(DType.F32, 1, 3, 0);
        Twin few = bench.poisoned(DType.F32, 1, 2, 0);
        Twin ids = bench.poisoned(DType.I32, 3, 42, 0);
        Twin wide = bench.poisoned(DType.F32, 3, 42, 0);
        Class<IllegalArgumentException> argument = IllegalArgumentException.class;
        bench.refuses("integer logits", argument, () -> bench.device().sample(ints.device(), batch.device, PLAIN, 1, tokens.device(),
            out.device(), 1));
        bench.refuses("more rows than logits", argument, () -> bench.device().sample(logits.device(), batch.device, PLAIN, 1,
            tokens.device(), out.device(), 4));
        bench.refuses("negative rows", argument, () -> bench.device().sample(logits.device(), batch.device, PLAIN, 1, tokens.device(),
            out.device(), -1));
        bench.refuses("too few log-probabilities", argument, () -> bench.device().sample(logits.device(), batch.device, PLAIN, 1,
            tokens.device(), few.device(), 3));
        bench.refuses("tokens as floats", argument, () -> bench.device().sample(logits.device(), batch.device, PLAIN, 1, out.device(),
            out.device(), 3));
        bench.refuses("targets as floats", argument, () -> bench.device().logProbs(logits.device(), out.device(), 1f, out.device(), 3));
        bench.refuses("too few coefficients", argument, () -> bench.device().logProbsBackward(logits.device(), tokens.device(), 1f,
            few.device(), 3));
        bench.refuses("more log-probabilities than tokens", argument, () -> bench.device().topLogProbs(logits.device(), 1f,
            tokens.device(), 3, ids.device(), wide.device(), out.device()));
        bench.refuses("ids and log-probabilities of different width", argument, () -> bench.device().topLogProbs(logits.device(), 1f,
            tokens.device(), 3, ids.device().columns(0, 4), wide.device().columns(0, 5), out.device()));
    }

    // -------------------------------------------------------------------------------------------------- log-probabilities

    private static void topLogProbs(CheckBench bench, DType dtype) {
        int[][] shapes = {{1, 1}, {3, 2}, {18, 18}, {41, 7}, {401, 64}, {1271, 128}, {1272, 1000}, {9001, 33}, {26008, 40}};
        for (int[] shape : shapes) {
            for (int count : new int[] {0, 1, shape[0] > 401 ? 3 : 11}) {
                for (float temperature : new float[] {1f, 0f, 0.7f}) {
                    compareTop(bench, dtype, shape[0], shape[1], count, temperature);
                }
            }
        }
    }

    /** Of equal logits the smallest tokens are the first, to the last bit of a token. */
    private static void largestVocabulary(CheckBench bench) {
        int vocab = 1 << 22;
        int k = 3;
        Twin logits = bench.poisoned(DType.F32, 1, vocab, 0);
        bench.truth().fill(logits.truth(), 1);
        bench.device().fill(logits.device(), 1);
        Twin indices = bench.ints(0);
        Twin ids = bench.poisoned(DType.I32, 1, k, 0);
        Twin logProbs = bench.poisoned(DType.F32, 1, k, 0);
        Twin tails = bench.poisoned(DType.F32, 1, 1, 0);
        bench.truth().topLogProbs(logits.truth(), 1f, indices.truth(), 1, ids.truth(), logProbs.truth(), tails.truth());
        bench.device().topLogProbs(logits.device(), 1f, indices.device(), 1, ids.device(), logProbs.device(), tails.device());
        bench.compareExactly("ids", ids, 1);
        bench.compare("log-probabilities", logProbs, 1, 1e-5, 1e-5);
    }

    private static void compareTop(CheckBench bench, DType dtype, int vocab, int k, int count, float temperature) {
        int rows = count + 2;
        String what = "topLogProbs " + count + " rows, " + k + " of " + vocab + " " + dtype + " at " + temperature;
        Twin logits = logits(bench, dtype, rows, vocab, 5, 2.5);
        Twin indices = bench.ints(bench.random().ints(count + 1, 0, rows).toArray());
        Twin ids = bench.poisoned(DType.I32, count + 1, k, 2);
        Twin logProbs = bench.poisoned(DType.F32, count + 1, k, 2);
        Twin tails = bench.poisoned(DType.F32, 1, count + 1, 0);
        bench.truth().topLogProbs(logits.truth(), temperature, indices.truth(), count, ids.truth(), logProbs.truth(), tails.truth());
        bench.device().topLogProbs(logits.device(), temperature, indices.device(), count, ids.device(), logProbs.device(), tails.device());
        bench.compareExactly(what + ": ids", ids, count);
        bench.compare(what + ": log-probabilities", logProbs, count, 1e-5, 1e-5);
        bench.untouched(what + ": log-probabilities", logProbs, count);
        tails.pull();
        for (int i = 0; i < count; i++) {
            // The CPU's tail is 1 less the sum of the others, so only its mass can be compared.
            bench.near(what + ": tail of row " + i, Math.exp(tails.want(0, i)), Math.exp(tails.got(0, i)), 1e-5, 3e-6);
            bench.require(k < vocab || tails.got(0, i) == -30, what + ": tail " + tails.got(0, i) + " with no token left");
        }
        bench.require(Double.isNaN(tails.got(0, count)), what + ": a tail past the rows was written");
    }

    private static void logProbs(CheckBench bench, DType dtype) {
        for (int vocab : new int[] {1, 3, 18, 401, 1272, 9001}) {
            for (int rows : new int[] {0, 1, vocab > 401 ? 5 : 41}) {
                for (float temperature : new float[] {1f, 0f, 0.4f}) {
                    String what = "logProbs " + rows + "x" + vocab + " " + dtype + " at " + temperature;
                    Twin logits = logits(bench, dtype, rows + 1, vocab, 2, 4);
                    Twin targets = bench.ints(bench.random().ints(rows + 1, 0, vocab).toArray());
                    Twin out = bench.poisoned(DType.F32, 1, rows + 1, 0);
                    bench.truth().logProbs(logits.truth(), targets.truth(), temperature, out.truth(), rows);
                    bench.device().logProbs(logits.device(), targets.device(), temperature, out.device(), rows);
                    out.pull();
                    for (int r = 0; r < rows; r++) {
                        bench.near(what + ", row " + r, out.want(0, r), out.got(0, r), 1e-5, 1e-5);
                    }
                    bench.require(Double.isNaN(out.got(0, rows)), what + ": a value past the rows was written");
                }
            }
        }
    }

    private static void logProbsBackward(CheckBench bench, DType dtype, double relative) {
        for (int vocab : new int[] {1, 3, 18, 401, 1271, 9000}) {
            for (int rows : new int[] {0, 1, vocab > 401 ? 4 : 41}) {
                for (int gap : new int[] {0, 3}) {
                    String what = "logProbsBackward " + rows + "x" + vocab + " " + dtype;
                    Twin logits = logits(bench, dtype, rows + 1, vocab, gap, 3);
                    Twin targets = bench.ints(bench.random().ints(rows + 1, 0, vocab).toArray());
                    Twin coefficients = bench.normal(DType.F32, 1, rows + 1, 0, 1);
                    for (int r = 0; r < rows; r += 3) {
                        coefficients.set(0, r, 0);
                    }
                    coefficients.push();
                    float temperature = gap == 0 ? 1f : 0.8f;
                    double[] past = new double[vocab];
                    for (int x = 0; x < vocab; x++) {
                        past[x] = logits.want(rows, x);
                    }
                    bench.truth().logProbsBackward(logits.truth(), targets.truth(), temperature, coefficients.truth(), rows);
                    bench.device().logProbsBackward(logits.device(), targets.device(), temperature, coefficients.device(), rows);
                    bench.compare(what, logits, rows, relative, 2e-7);
                    for (int x = 0; x < vocab; x++) {
                        bench.require(logits.got(rows, x) == past[x], what + ": the row past the live ones was written");
                    }
                }
            }
        }
    }
}
