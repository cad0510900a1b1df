package org.respec.tools.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.engine.run.PretrainConfig;
import org.respec.engine.run.PretrainRun;
import org.respec.tools.check.KernelCompilation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(name = "pretrain", description = "Makes a small actor and its drafter from nothing, by a recipe.", mixinStandardHelpOptions = true)
final class PretrainCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "CONFIG", description = "YAML file, for instance tools/examples/arithmetic.yaml.")
    private Path config;

    @Parameters(index = "1..*", paramLabel = "KEY=VALUE", description = "Overrides, for instance supervised.steps=100.")
    private List<String> overrides = new ArrayList<>();

    @Override
    public Integer call() {
        PretrainConfig read = PretrainConfig.read(config, overrides);
        PrintStream out = System.out;
        long start = System.nanoTime();
        long[] actorDone = {start};
        new PretrainRun(read).run(KernelCompilation.preparation(out), new PretrainRun.Listener() {
            @Override
            public void supervised(int step, int steps, double loss) {
                actorDone[0] = System.nanoTime();
                if (step % 100 == 0 || step == steps) {
                    out.printf(Locale.ROOT, "actor %d/%d  loss %.4f%n", step, steps, loss);
                }
            }

            @Override
            public void distilled(int round, int rounds, double divergence, double acceptLength, double reward) {
                out.printf(Locale.ROOT, "drafter %d/%d  divergence %.4f  accept %.2f  reward %.3f%n", round, rounds, divergence,
                    acceptLength, reward);
            }
        });
        out.printf(Locale.ROOT, "actor %.1f s, drafter %.1f s%n", (actorDone[0] - start) * 1e-9, (System.nanoTime() - actorDone[0]) * 1e-9);
        out.println("written to " + read.output().actor() + " and " + read.output().drafter());
        return 0;
    }
}
