package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.Devices;
import org.respec.kernels.Ops;
import org.respec.kernels.bench.BenchCase;
import org.respec.kernels.bench.BenchResult;
import org.respec.kernels.bench.Ceilings;
import org.respec.kernels.bench.KernelBench;
import org.respec.kernels.gpu.GpuOps;
import org.respec.kernels.gpu.KernelNeed;
import org.respec.tools.bench.KernelRows;
import org.respec.tools.check.KernelCompilation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "kernels", description = "Times of the CUDA kernels, beside a plain copy and a matrix product in the same run.",
    mixinStandardHelpOptions = true)
final class BenchKernelsCommand implements Callable<Integer> {
    private static final String EMULATED = "Emulated: every line was run at tiny sizes, and its times say nothing about a GPU.";

    @Option(names = "--device", defaultValue = "cuda", description = "cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--only", paramLabel = "NAME", split = ",", description = "Only these kernels, for instance rmsNorm,klDistill.")
    private List<String> only;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes ceilings and rows as JSON.")
    private Path json;

    @Override
    public Integer call() {
        List<String> names = KernelBench.cases(true).stream().map(BenchCase::kernel).distinct().toList();
        if (only != null && only.isEmpty()) {
            throw new BadInput("--only: it is empty; name at least one kernel of " + String.join(", ", names) + ".");
        }
        for (String name : only == null ? List.<String>of() : only) {
            if (!names.contains(name)) {
                throw new BadInput("--only: there is no kernel '" + name + "'; there are " + String.join(", ", names) + ".");
            }
        }
        OutputFile.require("--json", json);
        try (Ops ops = Devices.open(device, 0)) {
            if (!(ops instanceof GpuOps gpu)) {
                throw new BadInput("--device: " + device + " runs no CUDA kernels; use cuda or emulator.");
            }
            measure(gpu);
        }
        return 0;
    }

    private void measure(GpuOps gpu) {
        GpuDevice of = gpu.driver().device();
        boolean emulated = of.uuid().isEmpty();
        ObjectNode root = new JsonMapper().createObjectNode();
        root.putObject("device").put("name", of.name()).put("architecture", of.architecture()).put("driver", of.driverVersion());
        root.put("emulated", emulated);
        System.out.println(gpu.device());
        if (emulated) {
            System.out.println(EMULATED);
            root.put("note", EMULATED);
        }
        if (only == null) {
            KernelCompilation.before(new KernelNeed(KernelBench.HEAD_DIM, false), of, root, System.out);
        }
        try (KernelBench bench = new KernelBench(gpu, KernelBench.Effort.of(of))) {
            Ceilings ceilings = bench.ceilings();
            System.out.printf(Locale.ROOT,
                "copy of %d MiB %.0f GB/s, bf16 product of %d^3 %.1f TFLOP/s, the smallest kernel %.2f us, launching an empty"
                + " one %.0f ns of the host%n%n",
                ceilings.copyBytes() >> 21, ceilings.copyBytesPerSecond() * 1e-9, ceilings.gemmSize(),
                ceilings.gemmFlopsPerSecond() * 1e-12, 1e6 * ceilings.smallestSeconds(), ceilings.launchNanos());
            root.putObject("ceilings").put("copy_bytes", ceilings.copyBytes()).put("copy_bytes_per_second", ceilings.copyBytesPerSecond())
                .put("gemm_size", ceilings.gemmSize()).put("gemm_flops_per_second", ceilings.gemmFlopsPerSecond())
                .put("smallest_kernel_seconds", ceilings.smallestSeconds()).put("empty_launch_host_nanos", ceilings.launchNanos());
            System.out.printf(Locale.ROOT, "%-22s %-60s %-4s %11s %11s %9s %9s %8s %8s %6s %6s %8s %9s%n", "kernel", "shape", "type",
                "median us", "min us", "MB", "GFLOP", "GB/s", "TFLOP/s", "% copy", "% gemm", "launches", "ns/launch");
            ArrayNode rows = root.putArray("rows");
            for (BenchCase each : KernelBench.cases(emulated)) {
                if (only == null || only.contains(each.kernel())) {
                    BenchResult result = bench.run(each);
                    print(result, ceilings);
                    add(rows.addObject(), result, ceilings);
                    write(root);
                }
            }
        }
    }

    /** After every row, so that a run that is cut short has lost none. */
    private void write(ObjectNode root) {
        if (json != null) {
            SafeFiles.write(json, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }

    private static void print(BenchResult r, Ceilings ceilings) {
        BenchCase of = r.of();
        String head = String.format(Locale.ROOT, "%-22s %-60s %-4s", of.kernel(), of.shapeText(), of.dtype());
        if (!r.wasRun()) {
            System.out.println(head + "  not run: " + r.note());
            return;
        }
        System.out.printf(Locale.ROOT, "%s %11.2f %11.2f %9.2f %9.2f %8.0f %8.2f %6.1f %6.1f %8d %9s%n", head, r.medianSeconds() * 1e6,
            r.minSeconds() * 1e6, of.bytes() * 1e-6, of.flops() * 1e-9, r.bytesPerSecond() * 1e-9, r.flopsPerSecond() * 1e-12,
            100 * r.bytesPerSecond() / ceilings.copyBytesPerSecond(), 100 * r.flopsPerSecond() / ceilings.gemmFlopsPerSecond(),
            r.host().launches(), r.host().note().isEmpty() ? String.format(Locale.ROOT, "%.0f", r.host().nanosPerLaunch()) : "-");
    }

    private static void add(ObjectNode row, BenchResult r, Ceilings ceilings) {
        BenchCase of = r.of();
        row.put("kernel", of.kernel()).put("dtype", of.dtype().name());
        ObjectNode shape = row.putObject("shape");
        of.shape().forEach(shape::put);
        row.put("bytes", of.bytes()).put("flops", of.flops());
        if (!r.wasRun()) {
            row.put("not_run", r.note());
            return;
        }
        row.put("median_seconds", r.medianSeconds()).put("min_seconds", r.minSeconds()).put("repeats", r.repeats())
            .put("input_sets", r.copies())
            .put("bytes_per_second", r.bytesPerSecond()).put("flops_per_second", r.flopsPerSecond())
            .put("share_of_copy", r.bytesPerSecond() / ceilings.copyBytesPerSecond())
            .put("share_of_gemm", r.flopsPerSecond() / ceilings.gemmFlopsPerSecond());
        KernelRows.addHost(row, r.host());
    }
}
