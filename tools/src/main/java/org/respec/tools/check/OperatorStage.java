package org.respec.tools.check;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.respec.kernels.Ops;
import org.respec.kernels.check.CheckResult;
import org.respec.kernels.check.CheckRunner;
import org.respec.kernels.check.OperatorCheck;
import org.respec.kernels.check.OperatorChecks;
import org.respec.kernels.gpu.GpuOps;

/** Every operator against the CPU's, or those behind a given check. Quick: the first check of each operator. */
final class OperatorStage implements CheckStage {
    @Override
    public String name() {
        return "operators";
    }

    @Override
    public int seconds() {
        return 100;
    }

    private static List<OperatorCheck> checks(StageRun run) {
        Set<String> seen = new HashSet<>();
        List<OperatorCheck> checks = OperatorChecks.all().stream().filter(check -> run.wants(check.name()))
            .filter(check -> !run.settings().quick() || seen.add(check.name().split("[ ,]")[0])).toList();
        List<String> names = checks.stream().map(OperatorCheck::name).toList();
        return checks.subList(names.indexOf(run.settings().after()) + 1, checks.size());
    }

    @Override
    public void run(StageRun run) {
        ArrayNode rows = run.json().putArray("checks");
        try (Ops cpu = run.openCpu(); GpuOps gpu = run.open()) {
            CheckRunner runner = new CheckRunner(cpu, gpu, CheckRunner.SEED);
            for (OperatorCheck check : checks(run)) {
                run.checkTime();
                run.begin(check.name());
                CheckResult result = runner.run(check);
                rows.addObject().put("name", result.name()).put("passed", result.passed()).put("seconds", result.seconds())
                    .put("share_of_tolerance", result.shareOfTolerance()).put("message", result.message());
                String found = String.format(Locale.ROOT, "%7.2f s %6.1f %% of the tolerance", result.seconds(),
                    100 * result.shareOfTolerance());
                run.item(result.name(), found, result.passed() ? "" : String.valueOf(result.message()));
                if (runner.death() != null) {
                    run.json().put("died", true);
                    throw new IllegalStateException("the device's context is dead, so that nothing more could be run in it: "
                        + runner.death());
                }
            }
        }
    }
}
