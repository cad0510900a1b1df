package org.respec.engine.simulate;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.respec.engine.rollout.AdaptivePolicy;
import org.respec.engine.rollout.FixedPolicy;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.AcceptanceTracker;
import org.respec.engine.speculation.PlanCosts;
import org.respec.engine.speculation.PlanSolver;
import org.respec.engine.speculation.SpeculationPlan;

/**
 * Replays requests in virtual time through the real plan solver, and through every plan that is kept to, and through the best plan of
 * every step. All of them meet the same requests, the same acceptance at the same positions and the same noise; nothing depends on
 * this machine's clock.
 */
public final class Simulation {
    private final World world;
    private final PlanCosts believed;

    /**
     * @param plans off first
     * @param otherwise acceptance of the requests that have none of their own
     * @param believed what the solver takes costs for when it begins
     * @param truth what steps really take
     */
    public Simulation(List<SpeculationPlan> plans, List<TraceRequest> trace, Acceptance otherwise, PlanCosts believed, PlanCosts truth,
                      SimulationSettings settings) {
        if (plans.isEmpty() || !plans.getFirst().isOff()) {
            throw new IllegalArgumentException("plans must begin with off: " + plans);
        }
        this.world = new World(List.copyOf(plans), List.copyOf(trace), otherwise, truth, settings);
        this.believed = believed;
    }

    /** Runs every policy. */
    public SimulationReport run() {
        List<SimulationReport.Line> statics = new ArrayList<>();
        for (SpeculationPlan plan : world.plans) {
            statics.add(run(plan.toString(), worker -> new Worker(world, worker, new FixedPolicy(plan))));
        }
        return new SimulationReport(run("adaptive", worker -> new Worker(world, worker, adaptive())), statics,
            run("hindsight", worker -> Worker.inHindsight(world, worker)));
    }

    private PlanPolicy adaptive() {
        AcceptanceTracker acceptance = AcceptanceTracker.hopeful();
        SimulationSettings settings = world.settings;
        return new AdaptivePolicy(new PlanSolver(world.plans, acceptance, believed, settings.margin(), settings.maxRows()), acceptance);
    }

    private SimulationReport.Line run(String name, IntFunction<Worker> made) {
        List<Worker> workers = IntStream.range(0, world.settings.workers()).mapToObj(made).toList();
        double now = 0;
        for (List<int[]> shares : world.rollouts()) {
            double start = now;
            for (int w = 0; w < shares.size(); w++) {
                now = Math.max(now, workers.get(w).rollout(shares.get(w), start));
            }
        }
        Tally all = new Tally(world.plans.size());
        workers.forEach(worker -> all.add(worker.tally()));
        return all.line(name, world.plans);
    }
}
