package org.respec.engine.simulate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.respec.engine.rollout.PlanPolicy;
import org.respec.engine.rollout.ResponseLengths;
import org.respec.engine.speculation.LiveBatch;
import org.respec.engine.speculation.SpeculationPlan;

/**
 * One engine in virtual time: continuous batching over its share of each rollout's requests, step by step, the policy told what the
 * rollout engine would tell it. Two things are simpler: all live requests have as many nodes in a step, and prompts cost nothing, as they
 * cost the same under every plan.
 */
final class Worker {
    private final World world;
    private final int index;
    private final PlanPolicy policy;
    /** Whether turning speculation on costs nothing. */
    private final boolean freeSwitching;
    private final ResponseLengths lengths;
    private final LiveBatch batch;
    private final Request[] live;
    private final int[] freeSeats;
    /** Over the live requests: expected tokens of a step of each plan. */
    private final double[] expected;
    private final Tally tally;
    private List<Request> queue = List.of();
    private int queued;
    /** Tokens that queued requests are expected to have; NaN before anything is known. */
    private double waitingTokens;
    private int count;
    private long admissions;
    private long steps;
    private double now;

    /** A request of the rollout at hand. */
    private static final class Request {
        final int number;
        final double scale;
        int seat;
        long admitted;
        int drawn;
        /** Decided tokens that the drafter has not been extended over. */
        int missed = 1;

        Request(int number, double scale) {
            this.number = number;
            this.scale = scale;
        }
    }

    /** The best plan of every step, known from what steps truly take and how often tokens are truly accepted. */
    private final class Hindsight implements PlanPolicy {
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
    }

    Worker(World world, int index, PlanPolicy policy) {
        this(world, index, policy, false);
    }

    private Worker(World world, int index, PlanPolicy policy, boolean freeSwitching) {
        this.world = world;
        this.index = index;
        this.policy = policy == null ? new Hindsight() : policy;
        this.freeSwitching = freeSwitching;
        int most = world.settings.maxBatch();
        lengths = new ResponseLengths(1, world.longest);
        batch = new LiveBatch(most, lengths);
        live = new Request[most];
        freeSeats = new int[most];
        for (int seat = 0; seat < most; seat++) {
            freeSeats[seat] = seat;
        }
        expected = new double[world.plans.size()];
        tally = new Tally(world.plans.size());
        this.policy.attach(batch);
    }

    /**
     * One that takes the best plan of every step, and pays nothing for turning speculation on: a bound that no policy is known to reach.
     */
    static Worker inHindsight(World world, int index) {
        return new Worker(world, index, null, true);
    }

    /** What happened so far. */
    Tally tally() {
        return tally;
    }

    /**
     * Runs requests to their end, as a rollout of its own.
     *
     * @param requests their numbers, in order of arrival
     * @param start seconds at which it begins
     * @return seconds at which it ends
     */
    double rollout(int[] requests, double start) {
        queue = new ArrayList<>();
        for (int request : requests) {
            queue.add(new Request(request, lengths.scale(prompt(request))));
        }
        List<Request> all = List.copyOf(queue);
        // Those whose responses are expected to be longest go first, as in the engine.
        queue.sort(Comparator.comparingDouble(this::arrival).thenComparingDouble(request -> -request.scale));
        waitingTokens = 0;
        for (Request request : queue) {
            waitingTokens += lengths.remaining(0, request.scale);
        }
        queued = 0;
        now = start;
        while (admit()) {
            step();
        }
        for (Request request : all) {
            lengths.observe(prompt(request.number), request.drawn, request.scale);
        }
        lengths.refresh();
        return now;
    }

    private double arrival(Request request) {
        return world.trace.get(request.number).arrival();
    }

    /** What stands for a request's prompt: the same for all of a group. */
    private int[] prompt(int request) {
        int group = world.trace.get(request).group();
        return new int[] {group >= 0 ? group : -1 - request};
    }

    /** Begins what may begin; false when nothing is left to do. */
    private boolean admit() {
        if (count == 0 && queued < queue.size()) {
            now = Math.max(now, arrival(queue.get(queued)));
            // Sums begin anew, so that rounding does not add up over a long trace.
            Arrays.fill(expected, 0);
        }
        while (count < live.length && queued < queue.size() && arrival(queue.get(queued)) <= now) {
            Request request = queue.get(queued++);
            request.seat = freeSeats[live.length - 1 - count];
            request.admitted = admissions++;
            live[count++] = request;
            waitingTokens -= lengths.remaining(0, request.scale);
            expect(request, 1);
        }
        tally.seconds = now;
        return count > 0;
    }

    private void expect(Request request, int sign) {
        Behaviour behaviour = world.behaviour(request.number);
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

    /** Says who is live and about how much is left of each; all that the longest response leaves before anything is known. */
    private double describe() {
        batch.clear();
        double remaining = waitingTokens;
        for (int r = 0; r < count; r++) {
            Request request = live[r];
            double left = lengths.remaining(request.drawn, request.scale);
            remaining += left;
            batch.add(request.seat, request.admitted, request.drawn, request.scale,
                Double.isNaN(left) ? world.longest - request.drawn : left);
        }
        return remaining;
    }

    private void step() {
        int behind = 0;
        for (int r = 0; r < count; r++) {
            behind += live[r].missed;
        }
        SpeculationPlan plan = policy.choose(count, behind, describe());
        int chosen = world.plans.indexOf(plan);
        double draft = plan.isOff() ? 0 : draftSeconds(plan, behind);
        double jitter = world.jitter(index, steps++);
        double verify = world.costs.verifySeconds(count, plan) * jitter;
        draft *= jitter;
        int gained = 0;
        for (int r = 0; r < count; r++) {
            int taken = advance(r, plan, chosen);
            gained += taken;
            live[r].missed = plan.isOff() ? live[r].missed + taken : taken;
        }
        now += draft + verify;
        tally.add(chosen, count, gained, draft + verify, 1 - rate(chosen) / rate(best()));
        policy.observeStep(plan, count, count * (plan.tokens() + 1), gained, Math.round(draft * 1e9), Math.round(verify * 1e9));
        retire();
    }

    private double draftSeconds(SpeculationPlan plan, int behind) {
        int most = count * (plan.depth() + 1);
        double seconds = world.costs.draftSeconds(count, plan, Math.min(behind, most));
        // What a plan's own steps leave behind is part of its cost; what was decided while it was off comes on top.
        return behind <= most || freeSwitching ? seconds : seconds + world.costs.extendSeconds(count, behind - most);
    }

    /** Walks the accepted path of a request's tree; returns the tokens gained. */
    private int advance(int r, SpeculationPlan plan, int chosen) {
        Request request = live[r];
        int left = tokens(request) - request.drawn;
        if (plan.isOff()) {
            request.drawn++;
            return 1;
        }
        Behaviour behaviour = world.behaviour(request.number);
        VerifiedTree tree = behaviour.tree(chosen);
        int taken = 0;
        int node = 0;
        while (node >= 0 && taken < left) {
            int rank = behaviour.rank(taken + 1, world.place(request.number, request.drawn + taken));
            taken++;
            if (tree.expanded(node)) {
                policy.observeRank(r, taken, tree.seen(rank), plan.branch());
            }
            node = tree.child(node, rank);
        }
        request.drawn += taken;
        return taken;
    }

    private int tokens(Request request) {
        return world.trace.get(request.number).tokens();
    }

    private void retire() {
        int kept = 0;
        int before = count;
        for (int r = 0; r < before; r++) {
            Request request = live[r];
            if (request.drawn == tokens(request)) {
                expect(request, -1);
                freeSeats[live.length - count--] = request.seat;
            } else {
                live[kept++] = request;
            }
        }
    }
}
