package org.respec.tools.check;

import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.rollout.DecodeBench;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.gpu.GpuOps;
import org.respec.tools.bench.DecodeRows;
import org.respec.tools.bench.DecodeShape;

/** Decode steps at the shapes of real models, with random weights and a set acceptance. What does not fit the memory is noted. */
final class DecodeStage implements CheckStage {
    private static final double[] ACCEPTANCE = {0.8, 0.7, 0.65, 0.6};

    @Override
    public String name() {
        return "decode";
    }

    @Override
    public int seconds() {
        return 115;
    }

    @Override
    public void run(StageRun run) {
        boolean quick = run.settings().quick();
        List<DecodeShape> shapes = quick ? List.of(DecodeShape.TINY)
            : List.of(DecodeShape.QWEN_7B, DecodeShape.QWEN_3B, DecodeShape.QWEN_14B);
        List<Integer> batches = quick ? List.of(1, 2) : List.of(1, 8, 64, 256);
        List<SpeculationPlan> plans = List.of(SpeculationPlan.OFF, SpeculationPlan.parse(quick ? "2x2x3" : "4x2x8"));
        for (DecodeShape shape : shapes) {
            if (run.wants(shape.title())) {
                // A context of its own for every shape, so that all memory is free again.
                try (GpuOps gpu = run.open()) {
                    run.checkTime();
                    time(run, gpu, shape, batches, plans);
                }
            }
        }
    }

    private static void time(StageRun run, GpuOps gpu, DecodeShape shape, List<Integer> batches, List<SpeculationPlan> plans) {
        boolean quick = run.settings().quick();
        DecodeRows rows = new DecodeRows(gpu, shape, quick ? DType.F32 : DType.BF16,
            run.json().withObject("/" + shape.name().toLowerCase(Locale.ROOT)));
        run.say(rows.head());
        try (DecodeBench bench = rows.open()) {
            for (int batch : batches) {
                for (SpeculationPlan plan : plans) {
                    run.checkTime();
                    String name = shape.title() + ", batch " + batch + ", " + plan;
                    try {
                        run.say(rows.run(bench, new DecodeBench.Setting(batch, plan, ACCEPTANCE, quick ? 24 : 1024, quick ? 1 : 6,
                            quick ? 2 : 24)));
                        run.item(name, "timed", "");
                    } catch (BadInput e) {
                        run.json().withArray("/not_run").add(e.getMessage());
                        run.item(name, "not run: " + e.getMessage(), "");
                    }
                }
            }
        } catch (BadInput | OutOfDeviceMemory | ArithmeticException e) {
            run.json().withArray("/not_run").add(e.getMessage());
            run.item(shape.title(), "not run: " + e.getMessage(), "");
        }
    }
}
