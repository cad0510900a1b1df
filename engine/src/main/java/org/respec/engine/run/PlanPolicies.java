package org.respec.engine.run;

import java.util.List;
import java.util.function.Consumer;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.rollout.AdaptivePolicy;
import org.respec.engine.rollout.CostProbe;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.NgramProbe;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.RolloutLimits;
import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.engine.speculation.UtilizationProbe;
import org.respec.kernels.Ops;

/** Plan policies as a config asks for them. */
public final class PlanPolicies {
    private PlanPolicies() {
    }

    /** Plain decoding. */
    public static PlanPolicy off() {
        return new FixedPolicy(SpeculationPlan.OFF);
    }

    /** One that needs rows as that of {@code config} does, and does not speculate as it: for engines that only tell what they take. */
    static PlanPolicy unmeasured(RunConfig.Speculation config) {
        return config.mode().equals("fixed") ? new FixedPolicy(config.plan()) : off();
    }

    /** What {@code adaptive} chooses from. */
    static List<SpeculationPlan> candidates(RunConfig.Speculation config) {
        return PlanSolver.candidates(config.maxDepth(), config.maxBranch(), config.maxTokens());
    }

    /** The policy of {@code config}; {@code adaptive} measures this machine first, which takes some seconds. */
    public static PlanPolicy of(RunConfig.Speculation config, Ops ops, Actor actor, Drafter drafter, RolloutLimits limits) {
        return switch (config.mode()) {
            case "off" -> off();
            case "fixed" -> new FixedPolicy(config.plan());
            case "adaptive" -> {
                CostProfile profile = costs(config, ops, actor, drafter, limits);
                AcceptanceTracker acceptance = AcceptanceTracker.hopeful();
                UtilizationProbe probe = config.utilization().equals("off") ? null : UtilizationProbe.start(ops.uuid());
                PlanSolver solver = new PlanSolver(candidates(config), acceptance, profile, config.margin(), limits.maxRows(),
                    probe == null ? () -> 0 : probe);
                yield new AdaptivePolicy(solver, acceptance, probe);
            }
            default -> throw new IllegalArgumentException("speculation mode " + config.mode());
        };
    }

    private static CostProfile costs(RunConfig.Speculation config, Ops ops, Actor actor, Drafter drafter, RolloutLimits limits) {
        Drafter drafting = config.needsDrafter() ? drafter : null;
        Consumer<CostProfile> measure = empty -> {
            CostProbe.measure(ops, actor, drafting, limits, empty);
            if (drafting == null) {
                NgramProbe.measure(ops, actor.config().vocabSize(), limits.maxBatch(), empty);
            }
        };
        if (config.costCache() == null) {
            CostProfile profile = new CostProfile();
            measure.accept(profile);
            return profile;
        }
        return new CostCache(config.costCache(), sentence -> System.err.println("respec: " + sentence))
            .get(key(ops, actor, drafting, limits), measure);
    }

    /**
     * What the passes' times depend on: the device and how it runs them, the models' shapes, which their configurations have, and their
     * type, but not their weights.
     *
     * @param drafting null for n-grams
     */
    static String key(Ops ops, Actor actor, Drafter drafting, RolloutLimits limits) {
        return ops.device() + " " + ops.uuid() + (ops.usesGraphs() ? " graphs " : " ") + actor.dtype() + " " + actor.config() + " "
            + (drafting == null ? "n-grams" : drafting.config()) + " batch " + limits.maxBatch() + " rows " + limits.maxRows() + " top "
            + limits.captureTopK();
    }
}
