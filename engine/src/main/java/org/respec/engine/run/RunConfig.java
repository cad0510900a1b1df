package org.respec.engine.run;

import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.ser.std.StdDelegatingSerializer;
import com.fasterxml.jackson.databind.ser.std.ToStringSerializer;
import com.fasterxml.jackson.databind.util.StdConverter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.rl.AdamW;
import org.respec.engine.rollout.Drafting;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.TreeBatch;

/** Everything a training run depends on. */
public record RunConfig(Run run, Model model, TaskConfig task, Train train, Rollout rollout, Speculation speculation, Distill distill,
                        Eval eval) {
    /**
     * Where and on what.
     *
     * @param dir run folder: metrics, summary, checkpoints
     * @param device see {@link Backends#open}
     * @param threads host threads, 0 for all
     * @param graphs whether decode steps are replayed as CUDA graphs; means nothing on the CPU
     * @param dtype {@code f32}, {@code bf16} or {@code auto}; see {@link Devices#dtype}
     */
    public record Run(Path dir, long seed, String device, int threads, boolean graphs, String dtype) {
        static Run read(ConfigSection s) {
            Run run = new Run(s.path("dir", "runs/train", Path.of("")), s.whole("seed", 1, 0, Long.MAX_VALUE),
                s.choice("device", "auto", Backends.NAMES.toArray(String[]::new)), s.integer("threads", 0, 0, 1024),
                s.flag("graphs", true), s.choice("dtype", "auto", Devices.DTYPES.toArray(String[]::new)));
            s.finish();
            return run;
        }
    }

    /** Model folders; {@code drafter} is null for none. */
    public record Model(Path actor, Path drafter) {
        static Model read(ConfigSection s, Path base) {
            Path actor = s.normalPath("actor", base);
            if (actor == null) {
                throw s.bad("actor", "is missing; name a folder with a model in Hugging Face form");
            }
            Model model = new Model(actor, s.normalPath("drafter", base));
            s.finish();
            return model;
        }
    }

    /**
     * GRPO; see {@code PolicyTrainer} and {@code PolicyLoss} for what the numbers do.
     *
     * @param importanceCap null for what suits the type that the run computes in; see {@link #importanceCap(DType)}
     * @param checkpointActivations whether layers are computed again for their gradients, rather than kept
     * @param moments {@code f32} or, on a GPU alone, {@code bf16} or {@code host}: how the actor's AdamW moments are kept
     */
    public record Train(int iterations, int promptsPerIteration, int groupSize, int microBatchTokens, int miniBatches, int epochs,
                        float learningRate, int warmupIterations, float weightDecay, float beta1, float beta2, float eps,
                        float maxGradNorm, float clipLow, float clipHigh, float klCoefficient, String loss, boolean normaliseAdvantages,
                        int checkpointEvery, int keepCheckpoints, Float importanceCap, boolean checkpointActivations,
                        String moments) {
        /** What {@code moments} names. */
        public AdamW.Moments kept() {
            return AdamW.Moments.valueOf(moments.toUpperCase(Locale.ROOT));
        }

        /** The configured cap; else 2 in BF16, and none in F32, where rollout and training differ by rounding that corrects nothing. */
        public float importanceCap(DType dtype) {
            return importanceCap != null ? importanceCap : dtype == DType.BF16 ? 2 : 0;
        }

        static Train read(ConfigSection s) {
            Train train = new Train(s.integer("iterations", 40, 0, 1_000_000), s.integer("prompts_per_iteration", 32, 1, 65536),
                s.integer("group_size", 8, 2, 1024), s.integer("micro_batch_tokens", 2048, 16, 1 << 20),
                s.integer("mini_batches", 1, 1, 1024),
                s.integer("epochs", 1, 1, 64), (float) s.number("learning_rate", 1e-4, 0, 1),
                s.integer("warmup_iterations", 0, 0, 1_000_000),
                (float) s.number("weight_decay", 0, 0, 1), (float) s.number("beta1", 0.9, 0, 0.99999),
                (float) s.number("beta2", 0.95, 0, 0.99999),
                (float) s.number("eps", 1e-8, 1e-15, 1), (float) s.number("max_grad_norm", 1, 0, 1e6),
                (float) s.number("clip_low", 0.2, 0, 1),
                (float) s.number("clip_high", 0.2, 0, 100), (float) s.number("kl_coefficient", 0, 0, 100),
                s.choice("loss", "token", "token", "sequence"), s.flag("normalise_advantages", true),
                s.integer("checkpoint_every", 10, 1, 1_000_000), s.integer("keep_checkpoints", 2, 1, 1000),
                s.has("importance_cap") ? (float) s.number("importance_cap", 2, 0, 1e6) : null, s.flag("checkpoint_activations", false),
                s.choice("moments", "f32", "f32", "bf16", "host"));
            s.finish();
            if (train.miniBatches > train.promptsPerIteration * train.groupSize) {
                throw s.bad("mini_batches", "is " + train.miniBatches + ", more than the responses of an iteration; lower it");
            }
            return train;
        }
    }

    /**
     * How responses are drawn.
     *
     * @param kvPages 0 for as many as a full batch can use, {@link #AUTO} for as many of these as a device has memory for
     * @param releaseKv whether rollout and updates have memory by turns: pages are given back for an update, its passes after it
     */
    public record Rollout(int maxBatch, int maxTokens, float temperature, int topK, float topP, int pageSize, int kvPages,
                          boolean releaseKv) {
        /** {@code kvPages} by what is left on the device. */
        public static final int AUTO = -1;

        static Rollout read(ConfigSection s) {
            Rollout rollout = new Rollout(s.integer("max_batch", 64, 1, 4096), s.integer("max_tokens", 128, 1, 1 << 18),
                (float) s.number("temperature", 1, 0, 100), s.integer("top_k", 0, 0, 1 << 20), (float) s.number("top_p", 1, 1e-6, 1),
                s.integer("page_size", 16, 1, 256),
                "auto".equals(s.text("kv_pages", null)) ? AUTO : s.integer("kv_pages", 0, AUTO, 1 << 24), s.flag("release_kv", false));
            s.finish();
            return rollout;
        }
    }

    /**
     * Whether, by whom and how far to speculate: the plan of mode {@code fixed}, bounds of mode {@code adaptive}.
     *
     * @param margin how much better than off, as a share, a plan must be for mode {@code adaptive} to begin speculating
     * @param utilization whether mode {@code adaptive} watches what others use of the device: {@code auto} or {@code off}
     * @param costCache folder in which mode {@code adaptive} keeps what passes take here, or null to measure it at every start
     */
    public record Speculation(String mode, SpeculationPlan plan, int maxDepth, int maxBranch, int maxTokens, double margin,
                              Drafting drafting, String utilization, Path costCache) {
        private static final String NGRAM_PREFIX = "ngram:";
        private static final int MAX_DEPTH = 6;
        private static final int MAX_BRANCH = 4;
        private static final int MAX_TOKENS = 24;
        private static final double MARGIN = 0.02;

        /** Defaults, with {@code off}, {@code adaptive}, or a plan that is kept to; {@code ngram:} before it names the drafter. */
        public static Speculation of(String setting) {
            boolean ngram = setting.startsWith(NGRAM_PREFIX);
            String how = ngram ? setting.substring(NGRAM_PREFIX.length()) : setting;
            boolean fixed = !how.equals("off") && !how.equals("adaptive");
            Drafting.Kind kind = how.equals("off") ? Drafting.Kind.NONE : ngram ? Drafting.Kind.NGRAM : Drafting.Kind.EAGLE;
            return new Speculation(fixed ? "fixed" : how, fixed ? SpeculationPlan.parse(how) : SpeculationPlan.OFF, MAX_DEPTH, MAX_BRANCH,
                MAX_TOKENS, MARGIN, Drafting.of(kind, 1f), "auto", null);
        }

        /** The same with another {@code costCache}. */
        public Speculation withCostCache(Path folder) {
            return new Speculation(mode, plan, maxDepth, maxBranch, maxTokens, margin, drafting, utilization, folder);
        }

        /** The setting that {@link #of} takes. */
        public String name() {
            return (drafting.kind() == Drafting.Kind.NGRAM ? NGRAM_PREFIX : "") + (mode.equals("fixed") ? plan.toString() : mode);
        }

        /** Whether speculation needs a drafter's weights. */
        public boolean needsDrafter() {
            return drafting.kind() == Drafting.Kind.EAGLE;
        }

        public float sharpness() {
            return drafting.sharpness();
        }

        static Speculation read(ConfigSection s) {
            SpeculationPlan plan;
            try {
                plan = SpeculationPlan.parse(s.text("plan", "4x2x8"));
            } catch (BadInput e) {
                throw s.bad("plan", "is wrong: " + e.getMessage().replaceAll("\\.$", ""));
            }
            String mode = s.choice("mode", "adaptive", "adaptive", "off", "fixed");
            boolean ngram = s.choice("drafter", "eagle", "eagle", "ngram").equals("ngram");
            Drafting.Kind kind = mode.equals("off") ? Drafting.Kind.NONE : ngram ? Drafting.Kind.NGRAM : Drafting.Kind.EAGLE;
            Speculation speculation = new Speculation(mode, plan,
                s.integer("max_depth", MAX_DEPTH, 1, TreeBatch.MAX_DEPTH), s.integer("max_branch", MAX_BRANCH, 1, TreeBatch.MAX_BRANCH),
                s.integer("max_tokens", MAX_TOKENS, 1, TreeBatch.MAX_NODES - 1), s.number("margin", MARGIN, 0, 10),
                new Drafting(kind, (float) s.number("sharpness", 1, 1e-3, 1e3),
                    s.choice("budgets", "shared", "shared", "uniform").equals("shared"),
                    s.whole("ngram_mib", Drafting.NGRAM_BYTES >> 20, 1, 1 << 20) << 20), s.choice("utilization", "auto", "auto", "off"),
                s.path("cost_cache", null, Path.of("")));
            s.finish();
            return speculation;
        }
    }

    /**
     * The drafter's learning; see {@code OnlineDrafter}, {@code DraftLearner}, {@code DrafterHealth} and {@code RewardWeights}.
     *
     * @param batchTokens rows of a step, 0 for 1024 or as many as the longest response needs
     * @param lag rollouts that an update overlaps: 0 for its weights to be in use in the next one, 1 in the one after that
     * @param threads of the learner's own, 0 for a quarter of the run's
     * @param timeoutSeconds seconds that an update beside the run is waited for
     */
    public record Distill(boolean enabled, String weighting, int interval, int stepsPerUpdate, float learningRate, int warmupSteps,
                          float beta2, int topK, int capacityTokens, double share, int unroll, float unrollDecay, float tvWeight,
                          float weightFloor, float weightCap, int batchTokens, float maxGradNorm, boolean overlap, int lag, int threads,
                          int timeoutSeconds, int healthSteps) {
        /** Eight steps of so many rows teach more than four of twice as many. */
        private static final int ROWS = 1024;

        /**
         * Rows of a step.
         *
         * @param longest rows of the longest trajectory there can be
         * @throws BadInput if it does not fit into a step of the configured size
         */
        int rows(int longest) {
            int rows = batchTokens == 0 ? Math.max(ROWS, longest) : batchTokens;
            if (rows < longest) {
                throw new BadInput("distill.batch_tokens: " + rows + " is less than a trajectory of " + longest
                    + " tokens, which nothing could be learnt from; raise it.");
            }
            return rows;
        }

        static Distill read(ConfigSection s) {
            Distill distill = new Distill(s.flag("enabled", true), s.choice("weighting", "reward", "reward", "uniform"),
                s.integer("interval", 1, 1, 1_000_000), s.integer("steps_per_update", 8, 0, 100_000),
                (float) s.number("learning_rate", 4e-4, 0, 1), s.integer("warmup_steps", 20, 0, 1_000_000),
                (float) s.number("beta2", 0.99, 0, 0.99999), s.integer("top_k", 16, 1, 1024),
                s.integer("capacity_tokens", 32768, 16, 1 << 28), s.number("share", 1, 1e-6, 1),
                s.integer("unroll", 6, 1, TreeBatch.MAX_DEPTH), (float) s.number("unroll_decay", 0.8, 0, 1),
                (float) s.number("tv_weight", 0.9, 0, 1), (float) s.number("weight_floor", 0.2, 1e-6, 1),
                (float) s.number("weight_cap", 2, 1, 1e6), s.integer("batch_tokens", 0, 0, 1 << 20),
                (float) s.number("max_grad_norm", 0.5, 0, 1e6), s.flag("overlap", true), s.integer("lag", 0, 0, 1),
                s.integer("threads", 0, 0, 1024), s.integer("timeout_seconds", 600, 1, 1_000_000),
                s.integer("health_steps", 200, 1, 1_000_000_000));
            s.finish();
            return distill;
        }
    }

    /**
     * Held-out problems before and after, and every so many iterations; temperature null for the rollout's sampling; whether a run that
     * speculates ends with a comparison of its speed with off.
     */
    public record Eval(int problems, int every, Float temperature, boolean comparison) {
        static Eval read(ConfigSection s) {
            Eval eval = new Eval(s.integer("problems", 256, 0, 1_000_000), s.integer("every", 0, 0, 1_000_000),
                s.has("temperature") ? (float) s.number("temperature", 1, 0, 100) : null, s.flag("comparison", true));
            s.finish();
            return eval;
        }
    }

    /**
     * Reads a YAML file with {@code key.path=value} overrides. Paths in {@code model} and {@code task} are relative to the file.
     *
     * @throws BadInput naming file, key and reason
     */
    public static RunConfig read(Path file, List<String> overrides) {
        ConfigSection root = ConfigFile.read(file, overrides);
        Path parent = file.toAbsolutePath().getParent();
        Path base = file.isAbsolute() || file.getParent() == null ? parent : file.getParent();
        ConfigSection run = root.section("run");
        ConfigSection model = root.section("model");
        ConfigSection task = root.section("task");
        ConfigSection train = root.section("train");
        ConfigSection rollout = root.section("rollout");
        ConfigSection speculation = root.section("speculation");
        ConfigSection distill = root.section("distill");
        ConfigSection eval = root.section("eval");
        root.finish();
        return new RunConfig(Run.read(run), Model.read(model, base), TaskConfig.read(task, base), Train.read(train), Rollout.read(rollout),
            Speculation.read(speculation), Distill.read(distill), Eval.read(eval));
    }

    /** The whole config, defaults and overrides included, as a file that {@link #read} takes from any folder: paths are absolute. */
    public ObjectNode toJson() {
        SimpleModule words = new SimpleModule().addSerializer(Path.class, new StdDelegatingSerializer(Path.class, new AbsolutePath()))
            .addSerializer(SpeculationPlan.class, ToStringSerializer.instance);
        ObjectNode json = JsonMapper.builder().addModule(words).propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build()
            .valueToTree(this);
        Drafting drafting = speculation.drafting;
        ObjectNode keys = (ObjectNode) json.get("speculation");
        keys.remove("drafting");
        keys.put("drafter", drafting.kind() == Drafting.Kind.NGRAM ? "ngram" : "eagle").put("sharpness", drafting.sharpness())
            .put("budgets", drafting.shared() ? "shared" : "uniform").put("ngram_mib", drafting.ngramBytes() >> 20);
        return json;
    }

    private static final class AbsolutePath extends StdConverter<Path, String> {
        @Override
        public String convert(Path path) {
            return path.toAbsolutePath().normalize().toString();
        }
    }
}
