package org.respec.kernels.check;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Checks of fills, copies, embeddings, RMS norm and SwiGLU, with their gradients. */
final class ElementwiseChecks {
    private static final int[] ROWS = {0, 1, 3, 41};
    private static final int[] COLS = {1, 3, 8, 41, 401, 1271, 2048};
    private static final int[] GAPS = {0, 3};
    /** Rounding to bf16 is within 2^-8. */
    private static final double BF16 = 4e-3;

    private ElementwiseChecks() {
    }

    static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            double relative = dtype == DType.F32 ? 1e-5 : BF16;
            String name = dtype == DType.F32 ? " f32" : " bf16";
            checks.add(new OperatorCheck("fill" + name, bench -> fill(bench, dtype)));
            checks.add(new OperatorCheck("copy" + name, bench -> copy(bench, dtype)));
            checks.add(new OperatorCheck("add" + name, bench -> add(bench, dtype, relative)));
            checks.add(new OperatorCheck("copyRows" + name, bench -> copyRows(bench, dtype)));
            checks.add(new OperatorCheck("embedding" + name, bench -> embedding(bench, dtype, relative)));
            checks.add(new OperatorCheck("embeddingBackward" + name, bench -> embeddingBackward(bench, dtype)));
            checks.add(new OperatorCheck("rmsNorm" + name, bench -> rmsNorm(bench, dtype, relative)));
            checks.add(new OperatorCheck("rmsNorm invariance" + name, bench -> rmsNormInvariance(bench, dtype)));
            checks.add(new OperatorCheck("rmsNormBackward" + name, bench -> rmsNormBackward(bench, dtype, relative)));
            checks.add(new OperatorCheck("swiglu" + name, bench -> swiglu(bench, dtype, relative)));
            checks.add(new OperatorCheck("swigluBackward" + name, bench -> swigluBackward(bench, dtype, relative)));
        }
        checks.add(new OperatorCheck("convert", ElementwiseChecks::convert));
        checks.add(new OperatorCheck("copy i32", bench -> copy(bench, DType.I32)));
        checks.add(new OperatorCheck("copyRows i32", bench -> copyRows(bench, DType.I32)));
        checks.add(new OperatorCheck("elementwise refusals", ElementwiseChecks::refusals));
        checks.add(new OperatorCheck("elementwise faults", ElementwiseChecks::faults));
        return checks;
    }

    private static void fill(CheckBench bench, DType dtype) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    Twin x = bench.poisoned(dtype, rows, cols, gap);
                    bench.truth().fill(x.truth(), -1.5f);
                    bench.device().fill(x.device(), -1.5f);
                    bench.compareExactly("fill " + rows + "x" + cols, x, rows);
                }
            }
        }
    }

    private static Twin source(CheckBench bench, DType dtype, int rows, int cols, int gap) {
        if (dtype != DType.I32) {
            return bench.normal(dtype, rows, cols, gap, 2);
        }
        Twin twin = bench.poisoned(dtype, rows, cols, gap);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                twin.set(r, c, bench.random().nextInt(1 << 20));
            }
        }
        twin.push();
        return twin;
    }

    private static void copy(CheckBench bench, DType dtype) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    Twin src = source(bench, dtype, rows + 1, cols, gap);
                    Twin dst = source(bench, dtype, rows + 1, cols, 0);
                    bench.truth().copy(src.truth(), dst.truth(), rows);
                    bench.device().copy(src.device(), dst.device(), rows);
                    bench.compareExactly("copy " + rows + "x" + cols, dst, rows + 1);
                }
            }
        }
    }

    /** The CPU stores F32 alone, so that the rounding is done here. */
    private static void convert(CheckBench bench) {
        for (DType from : new DType[] {DType.F32, DType.BF16}) {
            for (DType to : new DType[] {DType.F32, DType.BF16}) {
                for (int rows : ROWS) {
                    for (int cols : COLS) {
                        for (int gap : GAPS) {
                            Twin src = source(bench, from, rows + 1, cols, gap);
                            Twin dst = bench.poisoned(to, rows + 1, cols, gap / 2);
                            bench.device().convert(src.device(), dst.device(), rows);
                            for (int r = 0; r < rows; r++) {
                                for (int c = 0; c < cols; c++) {
                                    float value = (float) src.want(r, c);
                                    dst.truth().host().set(ValueLayout.JAVA_FLOAT, (r * dst.truth().rowStride() + c) * 4,
                                        to == DType.BF16 ? Float.intBitsToFloat(Twin.bf16(value) << 16) : value);
                                }
                            }
                            String what = "convert " + rows + "x" + cols + " from " + from + " to " + to;
                            bench.compareExactly(what, dst, rows);
                            bench.untouched(what, dst, rows);
                        }
                    }
                }
            }
        }
    }

    private static void add(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    Twin x = bench.normal(dtype, rows, cols, gap, 2);
                    Twin y = bench.normal(dtype, rows + 1, cols, 2 * gap, 2);
                    bench.truth().add(x.truth(), y.truth(), rows);
                    bench.device().add(x.device(), y.device(), rows);
                    bench.compare("add " + rows + "x" + cols, y, rows + 1, relative, 0);
                }
            }
        }
    }

    private static void copyRows(CheckBench bench, DType dtype) {
        for (int count : new int[] {0, 1, 3, 41, 401}) {
            for (int cols : new int[] {1, 8, 41, 64}) {
                int gap = cols % 8 == 0 ? 0 : 3;
                for (int kind = 0; kind < 4; kind++) {
                    Twin src = source(bench, dtype, count + 5, cols, gap);
                    Twin dst = source(bench, dtype, count + 5, cols, 0);
                    // Destinations repeat: the last of equal ones must win.
                    Twin from = bench.randomInts(count + 1, count + 5);
                    Twin to = bench.randomInts(count + 1, count + 1);
                    boolean gather = (kind & 1) != 0;
                    boolean scatter = (kind & 2) != 0;
                    bench.truth().copyRows(src.truth(), gather ? from.truth() : null, dst.truth(), scatter ? to.truth() : null, count);
                    bench.device().copyRows(src.device(), gather ? from.device() : null, dst.device(), scatter ? to.device() : null, count);
                    bench.compareExactly("copyRows " + count + "x" + cols + (gather ? ", gather" : "") + (scatter ? ", scatter" : ""), dst,
                        count + 5);
                }
            }
        }
    }

    private static void embedding(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (DType parameter : new DType[] {DType.F32, DType.BF16}) {
                    Twin table = bench.normal(parameter, 11, cols, rows % 2, 1);
                    Twin tokens = bench.randomInts(rows + 1, 11);
                    Twin out = bench.poisoned(dtype, rows + 1, cols, 1);
                    bench.truth().embedding(table.truth(), tokens.truth(), out.truth(), rows);
                    bench.device().embedding(table.device(), tokens.device(), out.device(), rows);
                    String what = "embedding " + rows + "x" + cols + " of " + parameter;
                    bench.compare(what, out, rows, dtype == DType.F32 || parameter == DType.BF16 ? 0 : relative, 0);
                    bench.untouched(what, out, rows);
                }
            }
        }
    }

    private static void embeddingBackward(CheckBench bench, DType dtype) {
        for (int rows : new int[] {0, 1, 3, 41, 401}) {
            for (int vocab : new int[] {1, 2, 7, 600}) {
                int cols = rows > 100 ? 41 : 136;
                Twin dOut = bench.normal(dtype, rows, cols, vocab % 2, 1);
                Twin tokens = bench.randomInts(rows + 1, vocab);
                Twin dTable = bench.normal(DType.F32, vocab, cols, 1, 1);
                bench.truth().embeddingBackward(dOut.truth(), tokens.truth(), dTable.truth(), rows);
                bench.device().embeddingBackward(dOut.device(), tokens.device(), dTable.device(), rows);
                bench.compareExactly("embeddingBackward " + rows + " rows of " + vocab + " tokens", dTable, vocab);
            }
        }
    }

    private static void rmsNorm(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    rmsNorm(bench, dtype, rows, cols, gap, relative);
                }
            }
        }
        rmsNorm(bench, dtype, 2, 33_001, 0, relative);
        rmsNorm(bench, dtype, 1, 40_000, 0, relative);
    }

    private static void rmsNorm(CheckBench bench, DType dtype, int rows, int cols, int gap, double relative) {
        DType parameter = cols % 2 == 0 ? dtype : DType.F32;
        Twin x = bench.normal(dtype, rows + 1, cols, gap, 2);
        Twin weight = bench.normal(parameter, 1, cols, 0, 1);
        Twin out = bench.poisoned(dtype, rows + 1, cols, gap);
        String what = "rmsNorm " + rows + "x" + cols;
        bench.truth().rmsNorm(x.truth(), weight.truth(), 1e-6f, out.truth(), rows);
        bench.device().rmsNorm(x.device(), weight.device(), 1e-6f, out.device(), rows);
        bench.compare(what, out, rows, relative, 1e-6);
        bench.untouched(what, out, rows);
        bench.truth().rmsNorm(x.truth(), weight.truth(), 1e-6f, x.truth(), rows);
        bench.device().rmsNorm(x.device(), weight.device(), 1e-6f, x.device(), rows);
        bench.compare(what + " in place", x, rows + 1, relative, 1e-6);
        keepsACopy(bench, dtype, parameter, rows, cols, gap, relative, false);
        keepsACopy(bench, dtype, parameter, rows, cols, gap, relative, true);
    }

    private static void keepsACopy(CheckBench bench, DType dtype, DType parameter, int rows, int cols, int gap, double relative,
                                   boolean scattered) {
        Twin x = bench.normal(dtype, rows + 1, cols, gap, 2);
        Twin weight = bench.normal(parameter, 1, cols, 0, 1);
        Twin copy = scattered ? bench.normal(dtype, 2 * rows + 1, cols, 2 * gap, 2) : bench.poisoned(dtype, rows + 1, cols, 2 * gap);
        Twin places = scattered ? bench.ints(someOf(bench, rows, copy.truth().rows())) : null;
        Twin out = cols % 3 == 0 ? x : bench.poisoned(dtype, rows + 1, cols, gap);
        Twin alone = bench.poisoned(dtype, rows + 1, cols, gap);
        bench.device().rmsNorm(x.device(), weight.device(), 1e-6f, alone.device(), rows);
        bench.truth().copyRmsNorm(x.truth(), weight.truth(), 1e-6f, copy.truth(),
            places == null ? null : places.truth(), out.truth(), rows);
        bench.device().copyRmsNorm(x.device(), weight.device(), 1e-6f, copy.device(),
            places == null ? null : places.device(), out.device(), rows);
        String what = "copyRmsNorm " + rows + "x" + cols + (scattered ? ", scatter" : "");
        if (scattered) {
            bench.compareExactly(what + ", copy", copy, copy.truth().rows());
        } else {
            bench.compareExactly(what + ", copy", copy, rows);
            bench.untouched(what, copy, rows);
        }
        bench.compare(what, out, rows, relative, 1e-6);
        alone.pull();
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                bench.require(out.got(r, c) == alone.got(r, c), what + ": row " + r + ", column " + c + " is not that without a copy");
            }
        }
    }

    /** So many different numbers under {@code bound}, in any order. */
    private static int[] someOf(CheckBench bench, int count, int bound) {
        int[] all = new int[bound];
        for (int i = 0; i < bound; i++) {
            int j = bench.random().nextInt(i + 1);
            all[i] = all[j];
            all[j] = i;
        }
        return Arrays.copyOf(all, count);
    }

    /** The same row gives the same bits alone, among others, and at any alignment. */
    private static void rmsNormInvariance(CheckBench bench, DType dtype) {
        for (int cols : new int[] {8, 41, 401, 2048}) {
            Twin weight = bench.normal(dtype, 1, cols, 0, 1);
            Twin x = bench.normal(dtype, 5, cols, 0, 2);
            Twin out = bench.poisoned(dtype, 5, cols, 0);
            Twin wide = bench.poisoned(dtype, 5, cols, 1);
            Twin wideOut = bench.poisoned(dtype, 5, cols, 3);
            Twin alone = bench.poisoned(dtype, 1, cols, 0);
            bench.device().rmsNorm(x.device(), weight.device(), 1e-6f, out.device(), 5);
            bench.device().copy(x.device(), wide.device(), 5);
            bench.device().rmsNorm(wide.device(), weight.device(), 1e-6f, wideOut.device(), 5);
            bench.device().rmsNorm(x.device().rows(3, 4), weight.device(), 1e-6f, alone.device(), 1);
            out.pull();
            wideOut.pull();
            alone.pull();
            for (int c = 0; c < cols; c++) {
                for (int r = 0; r < 5; r++) {
                    bench.require(out.got(r, c) == wideOut.got(r, c), "row " + r + ", column " + c + " depends on where the row lies");
                }
                bench.require(out.got(3, c) == alone.got(0, c), "column " + c + " depends on the number of rows");
            }
        }
    }

    private static void rmsNormBackward(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : new int[] {1, 8, 41, 401, 2048}) {
                for (int gap : GAPS) {
                    rmsNormBackward(bench, dtype, rows, cols, gap, relative);
                }
            }
        }
        rmsNormBackward(bench, dtype, 2100, 8, 0, relative);
        rmsNormBackward(bench, dtype, 3, 8192, 0, relative);
    }

    private static void rmsNormBackward(CheckBench bench, DType dtype, int rows, int cols, int gap, double relative) {
        DType parameter = cols % 2 == 0 ? dtype : DType.F32;
        Twin x = bench.normal(dtype, rows, cols, gap, 2);
        Twin weight = bench.normal(parameter, 1, cols, 0, 1);
        for (int kind = 0; kind < 3; kind++) {
            boolean add = kind == 1;
            Twin dOut = bench.normal(dtype, rows + 1, cols, gap, 1);
            Twin dX = kind == 2 ? dOut : bench.normal(dtype, rows + 1, cols, 2 * gap, 1);
            Twin dWeight = bench.normal(DType.F32, 1, cols, 0, 1);
            bench.truth().rmsNormBackward(x.truth(), weight.truth(), 1e-6f, dOut.truth(), dX.truth(), add, dWeight.truth(), rows);
            bench.device().rmsNormBackward(x.device(), weight.device(), 1e-6f, dOut.device(), dX.device(), add, dWeight.device(), rows);
            String what = "rmsNormBackward " + rows + "x" + cols + (add ? ", added" : kind == 2 ? ", in place" : "");
            bench.compare(what + ", dX", dX, rows + 1, relative, 4e-6);
            bench.compare(what + ", dWeight", dWeight, 1, 1e-5, 2e-5 * Math.sqrt(Math.max(1, rows)));
        }
    }

    private static void swiglu(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    Twin gateUp = bench.normal(dtype, rows + 1, 2 * cols, gap, 3);
                    if (rows > 1) {
                        gateUp.set(1, 0, -200);
                        gateUp.set(0, 0, 200);
                        gateUp.push();
                    }
                    Twin out = bench.poisoned(dtype, rows + 1, cols, gap);
                    bench.truth().swiglu(gateUp.truth(), out.truth(), rows);
                    bench.device().swiglu(gateUp.device(), out.device(), rows);
                    bench.compare("swiglu " + rows + "x" + cols, out, rows, relative, 1e-20);
                    bench.untouched("swiglu " + rows + "x" + cols, out, rows);
                }
            }
        }
    }

    private static void swigluBackward(CheckBench bench, DType dtype, double relative) {
        for (int rows : ROWS) {
            for (int cols : COLS) {
                for (int gap : GAPS) {
                    Twin gateUp = bench.normal(dtype, rows + 1, 2 * cols, gap, 3);
                    Twin dOut = bench.normal(dtype, rows, cols, 2 * gap, 1);
                    Twin dGateUp = bench.poisoned(dtype, rows + 1, 2 * cols, gap);
                    bench.truth().swigluBackward(gateUp.truth(), dOut.truth(), dGateUp.truth(), rows);
                    bench.device().swigluBackward(gateUp.device(), dOut.device(), dGateUp.device(), rows);
                    String what = "swigluBackward " + rows + "x" + cols;
                    // The slope of silu passes through 0, so part of the tolerance is absolute.
                    bench.compare(what, dGateUp, rows, relative, 2e-6);
                    bench.untouched(what, dGateUp, rows);
                    bench.truth().swigluBackward(gateUp.truth(), dOut.truth(), gateUp.truth(), rows);
                    bench.device().swigluBackward(gateUp.device(), dOut.device(), gateUp.device(), rows);
                    bench.compare(what + " in place", gateUp, rows + 1, relative, 2e-6);
                }
            }
        }
    }

    private static void refusals(CheckBench bench) {
        Twin f32 = bench.poisoned(DType.F32, 4, 8, 0);
        Twin other = bench.poisoned(DType.F32, 4, 8, 0);
        Twin narrow = bench.poisoned(DType.F32, 4, 7, 0);
        Twin bf16 = bench.poisoned(DType.BF16, 4, 8, 0);
        Twin weight = bench.poisoned(DType.F32, 1, 8, 0);
        Twin ints = bench.randomInts(4, 4);
        Class<IllegalArgumentException> bad = IllegalArgumentException.class;
        bench.refuses("fill of integers", bad, () -> bench.device().fill(ints.device(), 1f));
        bench.refuses("copy of 5 rows of 4", bad, () -> bench.device().copy(f32.device(), other.device(), 5));
        bench.refuses("copyRmsNorm whose copy is x", bad,
            () -> bench.device().copyRmsNorm(f32.device(), weight.device(), 1e-6f, f32.device(), null, other.device(), 4));
        bench.refuses("copyRmsNorm to fewer columns", bad, () -> bench.device().copyRmsNorm(f32.device(), weight.device(), 1e-6f,
            narrow.device(), null, other.device(), 4));
        bench.refuses("copy of -1 rows", bad, () -> bench.device().copy(f32.device(), other.device(), -1));
        bench.refuses("copy between types", bad, () -> bench.device().copy(f32.device(), bf16.device(), 4));
        bench.refuses("copy onto itself", bad, () -> bench.device().copy(f32.device().rows(0, 3), f32.device().rows(1, 4), 3));
        bench.refuses("add of other widths", bad, () -> bench.device().add(narrow.device(), f32.device(), 4));
        bench.refuses("add of other types", bad, () -> bench.device().add(bf16.device(), f32.device(), 4));
        bench.refuses("copyRows with too few indices", bad,
            () -> bench.device().copyRows(f32.device(), ints.device(), other.device(), null, 5));
        bench.refuses("copyRows with float indices", bad,
            () -> bench.device().copyRows(f32.device(), weight.device(), other.device(), null, 4));
        bench.refuses("copyRows onto itself", bad, () -> bench.device().copyRows(f32.device(), ints.device(), f32.device(), null, 4));
        bench.refuses("embedding of other widths", bad,
            () -> bench.device().embedding(narrow.device(), ints.device(), f32.device(), 4));
        bench.refuses("embeddingBackward into bf16", bad,
            () -> bench.device().embeddingBackward(f32.device(), ints.device(), bf16.device(), 4));
        bench.refuses("rmsNorm with a narrow weight", bad,
            () -> bench.device().rmsNorm(narrow.device(), weight.device(), 1e-6f, other.device(), 4));
        bench.refuses("rmsNorm of 5 rows of 4", bad,
            () -> bench.device().rmsNorm(f32.device(), weight.device(), 1e-6f, other.device(), 5));
        bench.refuses("rmsNormBackward with a bf16 gradient of the weight", bad, () -> bench.device().rmsNormBackward(f32.device(),
            weight.device(), 1e-6f, other.device(), other.device(), false, bf16.device().rows(0, 1), 4));
        bench.refuses("swiglu without up", bad, () -> bench.device().swiglu(f32.device(), other.device(), 4));
        bench.refuses("swigluBackward without up", bad,
            () -> bench.device().swigluBackward(f32.device(), other.device(), other.device(), 4));
    }

    /** What only the device knows is reported when the host waits, and leaves the other rows right. */
    private static void faults(CheckBench bench) {
        Twin src = bench.normal(DType.F32, 4, 8, 0, 1);
        Twin dst = bench.poisoned(DType.F32, 4, 8, 0);
        Twin dTable = bench.normal(DType.F32, 4, 8, 0, 1);
        for (int wrong : new int[] {-1, 4, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            Tensor bad = bench.ints(0, wrong, 2).device();
            Tensor good = bench.ints(0, 1, 2).device();
            reports(bench, "copyRows from row " + wrong, () -> bench.device().copyRows(src.device(), bad, dst.device(), null, 3));
            reports(bench, "copyRows to row " + wrong, () -> bench.device().copyRows(src.device(), good, dst.device(), bad, 3));
            reports(bench, "embedding of token " + wrong, () -> bench.device().embedding(src.device(), bad, dst.device(), 3));
            reports(bench, "embeddingBackward of token " + wrong,
                () -> bench.device().embeddingBackward(src.device(), bad, dTable.device(), 3));
        }
        // Four times to token 0 and token 2, never to the others.
        for (int i = 0; i < 4; i++) {
            bench.truth().embeddingBackward(src.truth().rows(0, 1), bench.ints(0).truth(), dTable.truth(), 1);
            bench.truth().embeddingBackward(src.truth().rows(2, 3), bench.ints(2).truth(), dTable.truth(), 1);
        }
        bench.compareExactly("embeddingBackward of the good tokens", dTable, 4);
        dst.pull();
        for (int c = 0; c < 8; c++) {
            bench.require(dst.got(2, c) == src.want(2, c) && dst.got(0, c) == src.want(0, c), "a bad index spoiled a good row");
        }
    }

    static void reports(CheckBench bench, String what, Runnable action) {
        bench.refuses(what, IllegalArgumentException.class, () -> {
            action.run();
            bench.device().synchronize();
        });
    }
}
