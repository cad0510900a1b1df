package org.respec.engine.run;

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
import org.respec.kernels.Ops;

/** Plan policies as a config asks for them. */
public final class PlanPolicies {
    /** Observations of a rank after which an old one counts 1/e: some steps of a full batch. */
    private static final double WINDOW = 2000;
    /** Assumed chance of the drafter's first choice before anything is seen, and how many observations it counts for. */
    private static final double PRIOR = 0.7;
    private static final double PRIOR_WEIGHT = 20;

    private PlanPolicies() {
    }

    /** Plain decoding. */
    public static PlanPolicy off() {
        return new FixedPolicy(SpeculationPlan.OFF);
    }

    /** The policy of {@code config}; {@code adaptive} measures this machine first, which takes some seconds. */
    public static PlanPolicy of(RunConfig.Speculation config, Ops ops, Actor actor, Drafter drafter, RolloutLimits limits) {
        return switch (config.mode()) {
            case "off" -> off();
            case "fixed" -> new FixedPolicy(config.plan());
            case "adaptive" -> {
                CostProfile profile = new CostProfile();
                CostProbe.measure(ops, actor, config.needsDrafter() ? drafter : null, limits.maxBatch(), limits.maxRows(), profile);
                if (!config.needsDrafter()) {
                    NgramProbe.measure(ops, actor.config().vocabSize(), limits.maxBatch(), profile);
                }
                AcceptanceTracker acceptance = new AcceptanceTracker(WINDOW, PRIOR, PRIOR_WEIGHT);
                PlanSolver solver = new PlanSolver(PlanSolver.candidates(config.maxDepth(), config.maxBranch(), config.maxTokens()), acceptance,
                    profile, config.margin(), limits.maxRows());
                yield new AdaptivePolicy(solver, acceptance);
            }
            default -> throw new IllegalArgumentException("speculation mode " + config.mode());
        };
    }
}
