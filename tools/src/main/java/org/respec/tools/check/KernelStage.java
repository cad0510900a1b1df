package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.respec.kernels.bench.BenchCase;
import org.respec.kernels.bench.BenchResult;
import org.respec.kernels.bench.Ceilings;
import org.respec.kernels.bench.KernelBench;
import org.respec.kernels.gpu.GpuOps;
import org.respec.tools.bench.KernelRows;

/**
 * Times of every kernel at its first and its last shape; {@code bench kernels} has all of them. A case that the device refuses is noted.
 */
final class KernelStage implements CheckStage {
    @Override
    public String name() {
        return "kernels";
    }

    @Override
    public int seconds() {
        return 65;
    }

    @Override
    public void run(StageRun run) {
        try (GpuOps gpu = run.open()) {
            boolean tiny = run.settings().quick();
            try (KernelBench bench = new KernelBench(gpu, tiny ? KernelBench.Effort.tiny() : KernelBench.Effort.full())) {
                Ceilings ceilings = bench.ceilings();
                run.json().put("copy_bytes_per_second", ceilings.copyBytesPerSecond())
                    .put("gemm_flops_per_second", ceilings.gemmFlopsPerSecond())
                    .put("smallest_kernel_seconds", ceilings.smallestSeconds())
                    .put("empty_launch_host_nanos", ceilings.launchNanos());
                ArrayNode rows = run.json().putArray("rows");
                for (BenchCase each : chosen(run, tiny)) {
                    run.checkTime();
                    BenchResult result = bench.run(each);
                    ObjectNode row = rows.addObject().put("kernel", each.kernel()).put("shape", each.shapeText())
                        .put("dtype", each.dtype().name());
                    String name = each.kernel() + " " + each.shapeText() + " " + each.dtype();
                    if (!result.wasRun()) {
                        row.put("not_run", result.note());
                        run.item(name, "not run: " + result.note(), "");
                        continue;
                    }
                    double ofCopy = result.bytesPerSecond() / ceilings.copyBytesPerSecond();
                    double ofGemm = result.flopsPerSecond() / ceilings.gemmFlopsPerSecond();
                    BenchResult.Host host = result.host();
                    row.put("median_seconds", result.medianSeconds()).put("share_of_copy", ofCopy).put("share_of_gemm", ofGemm);
                    KernelRows.addHost(row, host);
                    run.item(name, String.format(Locale.ROOT, "%.2f us, %.1f %% of a copy, %.1f %% of a product, host %s",
                        1e6 * result.medianSeconds(), 100 * ofCopy, 100 * ofGemm, host.note().isEmpty()
                            ? String.format(Locale.ROOT, "%.0f ns a launch", host.nanosPerLaunch()) : "not measured, " + host.note()), "");
                }
            }
        }
    }

    private static List<BenchCase> chosen(StageRun run, boolean tiny) {
        Map<String, List<BenchCase>> byKernel = new LinkedHashMap<>();
        for (BenchCase each : KernelBench.cases(tiny)) {
            if (run.wants(each.kernel())) {
                byKernel.computeIfAbsent(each.kernel() + each.dtype(), key -> new ArrayList<>()).add(each);
            }
        }
        List<BenchCase> chosen = new ArrayList<>();
        for (List<BenchCase> cases : byKernel.values()) {
            chosen.add(cases.getFirst());
            if (!tiny && cases.size() > 1) {
                chosen.add(cases.getLast());
            }
        }
        return chosen;
    }
}
