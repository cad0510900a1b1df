package org.respec.tools.bench;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.run.RunConfig;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.TreeBatch;
import org.respec.kernels.bench.KernelBench;
import org.respec.kernels.gpu.GpuOps;

/** Decode times of one shape as a table and as JSON, beside the speed of a plain copy in the same run. */
public final class DecodeRows {
    /** Of a copy on the host: more than most caches hold. */
    private static final long HOST_COPY_BYTES = 64L << 20;

    private final Ops ops;
    private final DecodeShape shape;
    private final DType dtype;
    private final double copy;
    private final ArrayNode rows;

    /**
     * Times the plain copy.
     *
     * @param json where shape, copy and rows go
     */
    public DecodeRows(Ops ops, DecodeShape shape, DType dtype, ObjectNode json) {
        this.ops = ops;
        this.shape = shape;
        this.dtype = dtype;
        this.copy = ops instanceof GpuOps gpu ? copyBytesPerSecond(gpu) : DecodeBench.copyBytesPerSecond(ops, HOST_COPY_BYTES);
        json.put("shape", shape.title()).put("dtype", name(dtype)).put("copy_bytes_per_second", copy);
        this.rows = json.putArray("rows");
    }

    private static double copyBytesPerSecond(GpuOps gpu) {
        try (KernelBench bench = new KernelBench(gpu, KernelBench.Effort.of(gpu.driver().device()))) {
            return bench.copyBytesPerSecond();
        }
    }

    private static String name(DType of) {
        return of.name().toLowerCase(Locale.ROOT);
    }

    /** @throws BadInput if it is neither off nor a plan: there is nothing here to adapt to */
    public static SpeculationPlan plan(String text) {
        RunConfig.Speculation setting = RunConfig.Speculation.of(text);
        if (setting.mode().equals("adaptive")) {
            throw new BadInput("--speculation: adaptive chooses by what it measures, and here acceptance is set; use off or a plan like"
                + " 4x2x8.");
        }
        return setting.plan();
    }

    /** @throws BadInput that names the option whose value cannot be timed with this shape */
    public static void check(List<Integer> batches, List<Double> acceptance, int context, int steps, int warmUp, DecodeShape shape) {
        if (batches.isEmpty()) {
            throw new BadInput("--batch: it is empty; give at least one number of live requests.");
        }
        for (int batch : batches) {
            if (batch < 1 || batch > 4096) {
                throw new BadInput("--batch: " + batch + " must be 1 to 4096.");
            }
        }
        if (acceptance.isEmpty() || acceptance.size() > TreeBatch.MAX_DEPTH || acceptance.stream().anyMatch(a -> !(a >= 0 && a <= 1))) {
            throw new BadInput("--acceptance: " + acceptance + " must be 1 to " + TreeBatch.MAX_DEPTH + " shares from 0 to 1.");
        }
        if (steps < 1 || steps > 10_000 || warmUp < 0 || warmUp > 10_000) {
            throw new BadInput("--steps and --warm-up: " + steps + " and " + warmUp + " must be 1 to 10000 and 0 to 10000.");
        }
        // Every step may gain a token a level and the bonus, and one step more fills the context.
        long longest = context + (steps + warmUp + 2L) * (TreeBatch.MAX_DEPTH + 1) + TreeBatch.MAX_DEPTH;
        if (context < 2 || longest > shape.actor().maxPositionEmbeddings()) {
            throw new BadInput("--context: " + context + " tokens and up to " + (longest - context) + " more in " + (steps + warmUp)
                + " steps must be at least 2 and at most the shape's " + shape.actor().maxPositionEmbeddings() + "; change one of them.");
        }
    }

    /** Random weights of the shape; the caller closes them. */
    public DecodeBench open() {
        return new DecodeBench(ops, dtype, shape.actor(), shape.drafter());
    }

    /** The table's two head lines. */
    public String head() {
        return String.format(Locale.ROOT,
            "%s, %s; a plain copy reads and writes %.0f GB/s%n%6s %-9s %10s %10s %10s %10s %10s %10s %12s %9s %7s %7s",
            shape.title(), name(dtype), copy * 1e-9, "batch", "plan", "ms/step", "draft", "verify", "sample", "commit", "tokens/req",
            "tokens/s", "GB/s", "% copy", "host %");
    }

    /** Times a setting; returns its line of the table. */
    public String run(DecodeBench bench, DecodeBench.Setting s) {
        DecodeBench.Result r = bench.run(s);
        ObjectNode row = rows.addObject();
        row.put("batch", s.batch()).put("speculation", s.plan().toString()).put("context", s.context()).put("steps", s.steps())
            .put("step_seconds", r.stepSeconds());
        ArrayNode profile = row.putArray("acceptance");
        for (double a : s.acceptance()) {
            profile.add(a);
        }
        ObjectNode stages = row.putObject("stage_seconds");
        r.stageSeconds().forEach(stages::put);
        row.put("tokens_per_request_and_step", r.tokensPerStep()).put("tokens_per_second", r.tokensPerSecond())
            .put("weight_bytes_per_step", r.weightBytes()).put("weight_bytes_per_second", r.weightBytesPerSecond())
            .put("share_of_copy", r.weightBytesPerSecond() / copy);
        if (ops instanceof GpuOps) {
            row.put("host_share", r.hostShare());
        }
        return String.format(Locale.ROOT, "%6d %-9s %10.3f %10.3f %10.3f %10.3f %10.3f %10.2f %12.0f %9.1f %7.1f %7s", s.batch(), s.plan(),
            1e3 * r.stepSeconds(),
            1e3 * r.stageSeconds().get("draft"), 1e3 * r.stageSeconds().get("verify"), 1e3 * r.stageSeconds().get("sample"),
            1e3 * r.stageSeconds().get("commit"), r.tokensPerStep(), r.tokensPerSecond(), r.weightBytesPerSecond() * 1e-9,
            100 * r.weightBytesPerSecond() / copy, ops instanceof GpuOps ? String.format(Locale.ROOT, "%.1f", 100 * r.hostShare()) : "-");
    }
}
