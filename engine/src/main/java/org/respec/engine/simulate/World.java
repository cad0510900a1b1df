package org.respec.engine.simulate;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.respec.engine.speculation.Acceptance;
import org.respec.engine.speculation.PlanCosts;
import org.respec.engine.speculation.SpeculationPlan;

/** What all simulated workers share, whatever their policy: plans, requests, what steps truly take, and the noise on it. */
final class World {
    final List<SpeculationPlan> plans;
    final List<TraceRequest> trace;
    final PlanCosts costs;
    final SimulationSettings settings;
    /** Most tokens of a request. */
    final int longest;
    private final Behaviour[] behaviours;
    /** Seconds of a step without noise, switching left out, at {@code [batch][plan]}. */
    private final double[][] steady;

    /**
     * @param otherwise acceptance of the requests that have none of their own
     * @param costs what steps truly take
     */
    World(List<SpeculationPlan> plans, List<TraceRequest> trace, Acceptance otherwise, PlanCosts costs, SimulationSettings settings) {
        this.plans = plans;
        this.trace = trace;
        this.costs = costs;
        this.settings = settings;
        this.longest = trace.stream().mapToInt(TraceRequest::tokens).max().orElse(1);
        Map<Acceptance, Behaviour> known = new HashMap<>();
        behaviours = new Behaviour[trace.size()];
        for (int i = 0; i < behaviours.length; i++) {
            Acceptance own = trace.get(i).acceptance();
            behaviours[i] = known.computeIfAbsent(own == null ? otherwise : own, acceptance -> new Behaviour(plans, acceptance));
        }
        steady = new double[settings.maxBatch() + 1][plans.size()];
        for (int batch = 1; batch < steady.length; batch++) {
            for (int p = 0; p < plans.size(); p++) {
                SpeculationPlan plan = plans.get(p);
                steady[batch][p] = costs.verifySeconds(batch, plan) + (plan.isOff() ? 0 : costs.draftSeconds(batch, plan, batch));
            }
        }
    }

    /** Whether a batch's rows are no more than the widest pass has; off's always do. */
    boolean fits(int batch, int plan) {
        return plan == 0 || (long) batch * (plans.get(plan).tokens() + 1) <= settings.maxRows();
    }

    Behaviour behaviour(int request) {
        return behaviours[request];
    }

    double steadySeconds(int batch, int plan) {
        return steady[batch][plan];
    }

    /** Place of a request's token among the drafter's choices, from 0 to 1: the same under every policy. */
    double place(int request, int position) {
        return CounterNoise.uniform(settings.seed(), request, position);
    }

    /** What a step's time is multiplied by: log-normal with mean 1. */
    double jitter(int worker, long step) {
        double deviation = settings.noise();
        return deviation == 0 ? 1
            : Math.exp(deviation * CounterNoise.normal(settings.seed(), -1 - worker, step) - deviation * deviation / 2);
    }

    /** Requests of each rollout in turn, by worker: see {@link #deal}. */
    List<List<int[]>> rollouts() {
        int each = settings.rollout() == 0 ? trace.size() : settings.rollout();
        List<List<int[]>> rollouts = new ArrayList<>();
        for (int from = 0; from < trace.size(); from += each) {
            rollouts.add(deal(from, Math.min(trace.size() - from, each)));
        }
        return rollouts;
    }

    /** Requests by worker, groups dealt out in turn in the order in which they first come; each worker's by arrival. */
    private List<int[]> deal(int from, int requests) {
        List<List<Integer>> dealt = new ArrayList<>();
        for (int w = 0; w < settings.workers(); w++) {
            dealt.add(new ArrayList<>());
        }
        Map<Integer, Integer> homes = new HashMap<>();
        int next = 0;
        for (int i = from; i < from + requests; i++) {
            int group = trace.get(i).group();
            Integer home = group < 0 ? null : homes.get(group);
            if (home == null) {
                home = next++ % settings.workers();
                if (group >= 0) {
                    homes.put(group, home);
                }
            }
            dealt.get(home).add(i);
        }
        return dealt.stream().map(each -> each.stream().sorted((a, b) -> Double.compare(trace.get(a).arrival(), trace.get(b).arrival()))
            .mapToInt(Integer::intValue).toArray()).toList();
    }
}
