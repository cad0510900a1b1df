package org.respec.tools.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import org.respec.engine.BadInput;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.Rollout;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.rollout.StopRule;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.run.Devices;
import org.respec.engine.run.PlanPolicies;
import org.respec.engine.run.RunConfig;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.tools.check.KernelCompilation;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "generate", description = "Draws one response.", mixinStandardHelpOptions = true)
final class GenerateCommand implements Callable<Integer> {
    /** Text or token ids, one of the two. */
    static final class Prompt {
        @Option(names = "--prompt", paramLabel = "TEXT", description = "Prompt as text.")
        private String text;

        @Option(names = "--prompt-ids", paramLabel = "ID", split = ",", description = "Prompt as token ids.")
        private int[] ids;
    }

    @Option(names = "--model", required = true, paramLabel = "DIR", description = "Model folder in Hugging Face form.")
    private Path model;

    @ArgGroup(multiplicity = "1")
    private Prompt prompt;

    @Option(names = "--drafter", paramLabel = "DIR", description = "Drafter folder.")
    private Path drafter;

    @Option(names = "--speculation", paramLabel = "PLAN",
        description = "off, adaptive, or DEPTHxBRANCHxTOKENS, the last two with ngram: before them to draft from n-grams, without a"
            + " drafter (default: 4x2x8 with a drafter, else off).")
    private String speculation;

    @Option(names = "--temperature", defaultValue = "1", description = "0 is greedy (default: ${DEFAULT-VALUE}).")
    private float temperature;

    @Option(names = "--top-k", defaultValue = "0", description = "Keeps the k likeliest tokens; 0 keeps all (default: ${DEFAULT-VALUE}).")
    private int topK;

    @Option(names = "--top-p", defaultValue = "1", description = "Keeps the likeliest tokens of this mass (default: ${DEFAULT-VALUE}).")
    private float topP;

    @Option(names = "--max-tokens", defaultValue = "96", description = "Longest response (default: ${DEFAULT-VALUE}).")
    private int maxTokens;

    @Option(names = "--seed", defaultValue = "1", description = "Seed of the noise field (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu, cuda or emulator (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--dtype", defaultValue = "auto",
        description = "f32, bf16, or auto: bf16 on a GPU, f32 elsewhere (default: ${DEFAULT-VALUE}).")
    private String dtype;

    @Option(names = "--graphs", negatable = true, defaultValue = "true", fallbackValue = "true",
        description = "Replays steps as CUDA graphs; means nothing on the CPU (default: ${DEFAULT-VALUE}).")
    private boolean graphs;

    @Option(names = "--json", description = "Prints tokens, text, log_probs and accept_length as JSON.")
    private boolean json;

    @Override
    public Integer call() {
        String plan = speculation != null ? speculation : drafter == null ? "off" : "4x2x8";
        RunConfig.Speculation setting = RunConfig.Speculation.of(plan);
        boolean drafted = setting.needsDrafter();
        if (drafted && drafter == null) {
            throw new BadInput("--drafter: --speculation " + plan + " needs a drafter; name its folder, or draft from n-grams with ngram:"
                + plan + ".");
        }
        check(temperature >= 0 && temperature <= 100, "--temperature", temperature, "from 0 to 100");
        check(topP > 0 && topP <= 1, "--top-p", topP, "over 0 and at most 1");
        check(topK >= 0, "--top-k", topK, "0 or more");
        check(Devices.DTYPES.contains(dtype), "--dtype", dtype, "one of " + String.join(", ", Devices.DTYPES));
        try (Ops ops = Devices.open(device, 0, graphs);
             LoadedModel loaded = LoadedModel.load(ops, model, drafted ? drafter : null, Devices.dtype(dtype, device, ops), false)) {
            int[] ids = prompt(loaded);
            int most = RolloutEngine.mostTokens(loaded.actor().config(), ids.length);
            if (most < 1) {
                throw new BadInput("--prompt: its " + ids.length + " tokens leave no room for a response in the model's "
                    + loaded.actor().config().maxPositionEmbeddings() + " positions; shorten it.");
            }
            check(maxTokens >= 1 && maxTokens <= most, "--max-tokens", maxTokens,
                "from 1 to " + most + ", what the model has positions for");
            RolloutLimits limits = new RolloutLimits(1, ids.length, maxTokens, 16, 0, 0);
            StopRule stop = new StopRule(loaded.actor().config().eosTokenIds(), List.of());
            // What is drawn goes to standard output, as JSON too.
            KernelCompilation.before(ops, loaded, System.err);
            try (RolloutEngine engine = new RolloutEngine(ops, loaded.actor(), loaded.drafter(), limits,
                new SamplingParams(temperature, topK, topP), seed, stop,
                PlanPolicies.of(setting, ops, loaded.actor(), loaded.drafter(), limits), setting.drafting())) {
                print(loaded, engine.generate(List.of(new PromptGroup(ids, 1, 0))));
            }
        }
        return 0;
    }

    private static void check(boolean right, String option, Object value, String range) {
        if (!right) {
            throw new BadInput(option + ": " + value + " must be " + range + ".");
        }
    }

    private int[] prompt(LoadedModel loaded) {
        int vocab = loaded.actor().config().vocabSize();
        if (prompt.ids != null) {
            check(prompt.ids.length > 0, "--prompt-ids", "nothing", "one token or more");
            for (int id : prompt.ids) {
                check(id >= 0 && id < vocab, "--prompt-ids", id, "from 0 to " + (vocab - 1));
            }
            return prompt.ids;
        }
        int[] ids = loaded.tokenizer().encode(prompt.text);
        if (ids.length == 0) {
            throw new BadInput("--prompt: it is empty; give some text.");
        }
        if (!loaded.tokenizer().knowsAll(ids)) {
            throw new BadInput("--prompt: it has characters that the tokenizer of " + model + " does not know; leave them out.");
        }
        return ids;
    }

    private void print(LoadedModel loaded, Rollout rollout) {
        Trajectory drawn = rollout.trajectories().getFirst();
        int[] response = drawn.response();
        int last = response.length == 0 ? -1 : response[response.length - 1];
        boolean ends = loaded.actor().config().eosTokenIds().contains(last);
        String text = loaded.tokenizer().decode(ends ? Arrays.copyOf(response, response.length - 1) : response);
        if (!json) {
            System.out.println(text);
            return;
        }
        ObjectNode root = new JsonMapper().createObjectNode();
        ArrayNode tokens = root.putArray("tokens");
        for (int token : response) {
            tokens.add(token);
        }
        root.put("text", text);
        ArrayNode logProbs = root.putArray("log_probs");
        for (float value : drawn.logProbs()) {
            logProbs.add(value);
        }
        root.put("accept_length", rollout.stats().acceptLength());
        System.out.println(root);
    }
}
