package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.SpeedComparison;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.engine.task.ArithmeticProblems;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.check.KernelCompilation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "rollout",
    description = "Tokens per second of rollouts by batch and speculation, settings taking turns on the same prompts.",
    mixinStandardHelpOptions = true)
final class BenchRolloutCommand implements Callable<Integer> {
    @Option(names = "--batch", split = ",", defaultValue = "1,4,16,64", description = "Live requests (default: ${DEFAULT-VALUE}).")
    private List<Integer> batches;

    @Option(names = "--speculation", split = ",", defaultValue = "off,adaptive,4x2x8",
        description = "off, adaptive, or DEPTHxBRANCHxTOKENS, the last two with ngram: before them to draft from n-grams instead of with"
            + " the drafter (default: ${DEFAULT-VALUE}).")
    private List<String> speculations;

    @Option(names = "--json", paramLabel = "FILE", description = "Writes the rows as JSON.")
    private Path json;

    @Option(names = "--model", paramLabel = "DIR", description = "Actor (default: the bundled one).")
    private Path model;

    @Option(names = "--drafter", paramLabel = "DIR", description = "Drafter (default: the bundled one).")
    private Path drafter;

    @Option(names = "--warm-up", paramLabel = "SECONDS", defaultValue = "20",
        description = "Longest warm-up per batch; it ends sooner where rounds get no faster (default: ${DEFAULT-VALUE}).")
    private double warmUp;

    @Option(names = "--rounds", defaultValue = "11", description = "Measured rounds of each engine (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(names = "--engines", defaultValue = "4",
        description = "Engines of each setting: the speed of one depends by some per cent on where its memory lies"
            + " (default: ${DEFAULT-VALUE}).")
    private int copies;

    @Option(names = "--temperature", defaultValue = "1", description = "Sampling temperature (default: ${DEFAULT-VALUE}).")
    private float temperature;

    @Option(names = "--max-tokens", defaultValue = "96", description = "Longest response (default: ${DEFAULT-VALUE}).")
    private int maxTokens;

    @Option(names = "--seed", defaultValue = "1", description = "Seed of prompts and sampling (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu, cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Override
    public Integer call() {
        for (int batch : batches) {
            if (batch < 1 || batch > 4096) {
                throw new BadInput("--batch: " + batch + " must be 1 to 4096.");
            }
        }
        if (!(warmUp >= 0 && warmUp <= 3600)) {
            throw new BadInput("--warm-up: " + warmUp + " must be 0 to 3600.");
        }
        if (rounds < 1) {
            throw new BadInput("--rounds: " + rounds + " must be 1 or more.");
        }
        if (copies < 1 || copies > 64) {
            throw new BadInput("--engines: " + copies + " must be 1 to 64.");
        }
        if (!(temperature >= 0 && temperature <= 100)) {
            throw new BadInput("--temperature: " + temperature + " must be 0 to 100.");
        }
        if (batches.isEmpty()) {
            throw new BadInput("--batch: it is empty; give at least one number of live requests.");
        }
        OutputFile.require("--json", json);
        List<RunConfig.Speculation> settings = new ArrayList<>();
        settings.add(RunConfig.Speculation.of("off"));
        for (String speculation : speculations) {
            if (!speculation.equals("off")) {
                settings.add(RunConfig.Speculation.of(speculation));
            }
        }
        Path actorFolder = model == null ? Bundled.actor() : model;
        Path drafterFolder = drafter == null && model == null ? Bundled.drafter() : drafter;
        if (drafterFolder == null && settings.stream().anyMatch(RunConfig.Speculation::needsDrafter)) {
            throw new BadInput("--drafter: speculation needs a drafter; name its folder.");
        }
        Path costs = costsFolder();
        try {
            settings.replaceAll(setting -> setting.withCostCache(costs));
            measure(actorFolder, drafterFolder, settings);
        } finally {
            delete(costs);
        }
        return 0;
    }

    /** Costs are measured once for each batch and drafter, and all engines begin with the same. */
    private static Path costsFolder() {
        try {
            return Files.createTempDirectory("respec-costs");
        } catch (IOException e) {
            throw new IllegalStateException("no temporary folder can be made (" + Reason.of(e) + ")", e);
        }
    }

    private static void delete(Path folder) {
        try {
            SafeFiles.deleteAll(folder);
        } catch (IOException e) {
            // What is left lies in the folder for temporary files, and says nothing about speed.
            return;
        }
    }

    private void measure(Path actorFolder, Path drafterFolder, List<RunConfig.Speculation> settings) {
        ObjectNode root = new JsonMapper().createObjectNode();
        try (Ops ops = Devices.open(device, 0); LoadedModel loaded = LoadedModel.load(ops, actorFolder, drafterFolder,
            Devices.dtype("auto", device, ops), false)) {
            KernelCompilation.before(ops, loaded, System.out);
            System.out.printf(Locale.ROOT, "%6s  %-14s %12s %13s %14s%n", "batch", "speculation", "tokens/s", "ratio to off",
                "accept length");
            for (int batch : batches) {
                measure(ops, loaded, settings, batch, root.withArray("rows"));
                write(root);
            }
        }
    }

    /** After every batch, so that a run that is cut short has lost none. */
    private void write(ObjectNode root) {
        if (json != null) {
            SafeFiles.write(json, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }

    private void measure(Ops ops, LoadedModel loaded, List<RunConfig.Speculation> settings, int batch, ArrayNode rows) {
        ArithmeticProblems problems = new ArithmeticProblems(seed, 2, 8, 0.75, 99, 999);
        List<PromptGroup> prompts = new ArrayList<>();
        int longest = 1;
        for (int i = 0; i < Math.max(24, 2 * batch); i++) {
            int[] prompt = loaded.tokenizer().encode(problems.heldOut(i).prompt());
            longest = Math.max(longest, prompt.length);
            prompts.add(new PromptGroup(prompt, 1, i));
        }
        int most = RolloutEngine.mostTokens(loaded.actor().config(), longest);
        if (maxTokens < 1 || maxTokens > most) {
            throw new BadInput("--max-tokens: " + maxTokens + " must be from 1 to " + most + ", what the model has positions for.");
        }
        RolloutLimits limits = new RolloutLimits(batch, longest, maxTokens, 16, 0, 0);
        StopRule stop = new StopRule(loaded.actor().config().eosTokenIds(), List.of());
        List<RolloutEngine> engines = new ArrayList<>();
        try {
            for (int copy = 0; copy < copies; copy++) {
                for (RunConfig.Speculation setting : settings) {
                    engines.add(new RolloutEngine(ops, loaded.actor(), setting.needsDrafter() ? loaded.drafter() : null, limits,
                        SamplingParams.temperature(temperature), seed, stop,
                        PlanPolicies.of(setting, ops, loaded.actor(), loaded.drafter(), limits), setting.drafting()));
                }
            }
            List<SpeedComparison.Result> results = SpeedComparison.run(engines, settings.size(), prompts, warmUp, rounds);
            for (int i = 0; i < results.size(); i++) {
                SpeedComparison.Result result = results.get(i);
                String name = settings.get(i).name();
                System.out.printf(Locale.ROOT, "%6d  %-14s %12.0f %13.3f %14.2f%n", batch, name, result.tokensPerSecond(),
                    result.ratioToFirst(), result.acceptLength());
                rows.addObject().put("batch", batch).put("speculation", name).put("tokens_per_second", result.tokensPerSecond())
                    .put("ratio_to_off", result.ratioToFirst()).put("accept_length", result.acceptLength());
            }
        } finally {
            engines.forEach(RolloutEngine::close);
        }
    }
}
