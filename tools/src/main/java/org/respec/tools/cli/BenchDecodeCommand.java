package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.run.Devices;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Ops;
import org.respec.kernels.gpu.GpuOps;
import org.respec.tools.bench.DecodeRows;
import org.respec.tools.bench.DecodeShape;
import org.respec.tools.check.KernelCompilation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "decode", description = "Times decode steps at a model's shape, with random weights and a set acceptance.",
    mixinStandardHelpOptions = true)
final class BenchDecodeCommand implements Callable<Integer> {
    @Option(names = "--shape", paramLabel = "NAME", defaultValue = "qwen2.5-7b",
        description = "qwen2.5-3b, qwen2.5-7b, qwen2.5-14b, medium, small or tiny (default: ${DEFAULT-VALUE}).")
    private String shape;

    @Option(names = "--batch", split = ",", defaultValue = "1,8,64,256", description = "Live requests (default: ${DEFAULT-VALUE}).")
    private List<Integer> batches;

    @Option(names = "--speculation", split = ",", defaultValue = "off,4x2x8",
        description = "off or DEPTHxBRANCHxTOKENS (default: ${DEFAULT-VALUE}).")
    private List<String> speculations;

    @Option(names = "--acceptance", split = ",", defaultValue = "0.8,0.7,0.65,0.6", paramLabel = "SHARE",
        description = "Share of trees whose level 1, 2, ... is accepted, given the one before; the last holds for deeper ones"
            + " (default: ${DEFAULT-VALUE}).")
    private List<Double> acceptance;

    @Option(names = "--context", defaultValue = "1024",
        description = "Tokens of every request before it decodes (default: ${DEFAULT-VALUE}).")
    private int context;

    @Option(names = "--dtype", defaultValue = "auto",
        description = "Type of weights, activations and caches: f32, bf16, or auto: bf16 on a GPU, else f32 (default: ${DEFAULT-VALUE}).")
    private String dtype;

    @Option(names = "--steps", defaultValue = "40", description = "Measured steps (default: ${DEFAULT-VALUE}).")
    private int steps;

    @Option(names = "--warm-up", defaultValue = "8", description = "Steps before them (default: ${DEFAULT-VALUE}).")
    private int warmUp;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu, cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the rows as JSON.")
    private Path json;

    @Override
    public Integer call() {
        DecodeShape of = DecodeShape.of(shape).orElseThrow(() -> new BadInput("--shape: there is no shape '" + shape + "'; there are "
            + String.join(", ", DecodeShape.titles()) + "."));
        if (!Devices.DTYPES.contains(dtype)) {
            throw new BadInput("--dtype: '" + dtype + "' is not known; use " + String.join(", ", Devices.DTYPES) + ".");
        }
        List<SpeculationPlan> plans = speculations.stream().map(DecodeRows::plan).toList();
        DecodeRows.check(batches, acceptance, context, steps, warmUp, of);
        OutputFile.require("--json", json);
        ObjectNode root = new JsonMapper().createObjectNode();
        try (Ops ops = Devices.open(device, 0)) {
            System.out.println(ops.device());
            root.put("device", ops.device());
            if (ops instanceof GpuOps gpu) {
                KernelCompilation.before(of.kernels(), gpu.driver().device(), root, System.out);
            }
            DecodeRows rows = new DecodeRows(ops, of, Devices.dtype(dtype, device, ops), root);
            System.out.println(rows.head());
            try (DecodeBench bench = rows.open()) {
                for (int batch : batches) {
                    for (SpeculationPlan plan : plans) {
                        DecodeBench.Setting setting = new DecodeBench.Setting(batch, plan,
                            acceptance.stream().mapToDouble(Double::doubleValue).toArray(), context, warmUp, steps);
                        System.out.println(rows.run(bench, setting));
                        write(root);
                    }
                }
            }
        }
        return 0;
    }

    /** After every row, so that a run that is cut short has lost none. */
    private void write(ObjectNode root) {
        if (json != null) {
            SafeFiles.write(json, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }
}
