package org.respec.engine.simulate;

import java.util.Arrays;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.speculation.SpeculationPlan;

/**
 * One engine in virtual time: continuous batching over its share of the requests, step by step, the policy told what the rollout engine
 * would tell it. Prompts cost nothing, as they cost the same under every plan.
 */
final class Worker {
    private final World world;
    private final int index;
    private final int[] queue;
    private final int[] live;
    private final int[] drawn;
    /** Decided tokens that the drafter has not been extended over. */
    private final int[] missed;
    /** Over the live requests: expected tokens of a step of each plan. */
    private final double[] expected;
    private int count;
    private int queued;
    private double now;
    private final Tally tally;

    Worker(World world, int index, int[] queue) {
        this.world = world;
        this.index = index;
        this.queue = queue;
        int batch = world.settings.maxBatch();
        live = new int[batch];
        drawn = new int[batch];
        missed = new int[batch];
        expected = new double[world.plans.size()];
        tally = new Tally(world.plans.size());
    }

    /** Runs all requests to their end. */
    Tally run(PlanPolicy policy) {
        for (long step = 0; admit(); step++) {
            step(policy, step, false);
        }
        return tally;
    }

    /**
     * Runs all requests with the best plan of every step, known from what steps truly take and how often tokens are truly accepted, and
     * with nothing paid for turning speculation on: a bound that no policy is known to reach.
     */
    Tally runInHindsight() {
        PlanPolicy best = new PlanPolicy() {
            @Override
            public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
                return world.plans.get(best());
            }

            @Override
            public void observeStep(SpeculationPlan plan, int batch, int rows, int tokens, long draftNanos, long verifyNanos) {
                // It knows.
            }

            @Override
            public void observeRank(int request, int depth, int rank, int named) {
                // It knows.
            }
        };
        for (long step = 0; admit(); step++) {
            step(best, step, true);
        }
        return tally;
    }

    /** Begins what may begin; false when nothing is left to do. */
    private boolean admit() {
        if (count == 0 && queued < queue.length) {
            now = Math.max(now, world.trace.get(queue[queued]).arrival());
            // Sums begin anew, so that rounding does not add up over a long trace.
            Arrays.fill(expected, 0);
        }
        while (count < live.length && queued < queue.length && world.trace.get(queue[queued]).arrival() <= now) {
            live[count] = queue[queued++];
            drawn[count] = 0;
            missed[count] = 1;
            expect(live[count], 1);
            count++;
        }
        tally.seconds = now;
        return count > 0;
    }

    private void expect(int request, int sign) {
        Behaviour behaviour = world.behaviour(request);
        for (int p = 0; p < expected.length; p++) {
            expected[p] += sign * behaviour.expected(p);
        }
    }

    private double rate(int plan) {
        return expected[plan] / world.steadySeconds(count, plan);
    }

    private int best() {
        int best = 0;
        for (int p = 1; p < expected.length; p++) {
            if (world.fits(count, p) && rate(p) > rate(best)) {
                best = p;
            }
        }
        return best;
    }

    private void step(PlanPolicy policy, long step, boolean freeSwitching) {
        int behind = 0;
        for (int r = 0; r < count; r++) {
            behind += missed[r];
        }
        SpeculationPlan plan = policy.choose(count, behind, Double.NaN);
        int chosen = world.plans.indexOf(plan);
        double draft = plan.isOff() ? 0 : draftSeconds(plan, behind, freeSwitching);
        double jitter = world.jitter(index, step);
        double verify = world.costs.verifySeconds(count, plan) * jitter;
        draft *= jitter;
        int gained = 0;
        for (int r = 0; r < count; r++) {
            int taken = advance(policy, r, plan, chosen);
            gained += taken;
            missed[r] = plan.isOff() ? missed[r] + taken : taken;
        }
        now += draft + verify;
        tally.add(chosen, count, gained, draft + verify, 1 - rate(chosen) / rate(best()));
        policy.observeStep(plan, count, count * (plan.tokens() + 1), gained, Math.round(draft * 1e9), Math.round(verify * 1e9));
        retire();
    }

    private double draftSeconds(SpeculationPlan plan, int behind, boolean freeSwitching) {
        int most = count * (plan.depth() + 1);
        double seconds = world.costs.draftSeconds(count, plan, Math.min(behind, most));
        // What a plan's own steps leave behind is part of its cost; what was decided while it was off comes on top.
        return behind <= most || freeSwitching ? seconds : seconds + world.costs.extendSeconds(count, behind - most);
    }

    /** Walks the accepted path of a request's tree; returns the tokens gained. */
    private int advance(PlanPolicy policy, int r, SpeculationPlan plan, int chosen) {
        int left = world.trace.get(live[r]).tokens() - drawn[r];
        if (plan.isOff()) {
            drawn[r]++;
            return 1;
        }
        Behaviour behaviour = world.behaviour(live[r]);
        VerifiedTree tree = behaviour.tree(chosen);
        int taken = 0;
        int node = 0;
        while (node >= 0 && taken < left) {
            int rank = behaviour.rank(taken + 1, world.place(live[r], drawn[r] + taken));
            taken++;
            if (tree.expanded(node)) {
                policy.observeRank(r, taken, tree.seen(rank), plan.branch());
            }
            node = tree.child(node, rank);
        }
        drawn[r] += taken;
        return taken;
    }

    private void retire() {
        int kept = 0;
        for (int r = 0; r < count; r++) {
            if (drawn[r] == world.trace.get(live[r]).tokens()) {
                expect(live[r], -1);
                continue;
            }
            live[kept] = live[r];
            drawn[kept] = drawn[r];
            missed[kept++] = missed[r];
        }
        count = kept;
    }
}
