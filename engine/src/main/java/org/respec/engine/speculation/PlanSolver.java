package org.respec.engine.speculation;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;

/**
 * Picks the plan with the highest expected tokens per second for the live batch: {@code batch * E[tokens] / seconds}, off included.
 * From one plan to another it goes where that seems better with some certainty. Off it leaves only for a plan that is better by a margin,
 * and where what is saved until the end makes up for what that costs at once, the drafter's extension over all tokens that it missed
 * ({@link TurnOn}); and to off it goes where that wins as much before it comes on again. Where nothing is known of how much is still to
 * be drawn, off is left once what it has cost to stay off, step by step, comes to twice that price: whenever the batch then ends or grows,
 * what was lost is bounded by a multiple of it (the ski-rental rule).
 */
public final class PlanSolver {
    /** Steps over which predicted seconds are compared with what came, 100 of them for 1/e. */
    private static final double ERROR_DECAY = 0.99;
    /**
     * Steps for which a decision holds while the batch is much the same, doubled while it is confirmed: scoring all plans takes some tens
     * of microseconds, since decoding leaves nothing of them in a cache.
     */
    private static final int HOLD = 16;
    private static final int LONGEST_HOLD = 64;
    /** A decision for off holds longest at once where no plan reaches such a share of it: scores move slowly, off should cost nothing. */
    private static final double CLEAR_SHARE = 0.9;
    private static final double SAME_BATCH = 0.2;
    /** The same while off is clearly better: in the last steps of a rollout nearly every one would have a batch of its own. */
    private static final double SAME_BATCH_CLEAR = 0.3;
    /** From one plan to another that is no more than so much better it is not worth going, though going costs nothing. */
    private static final double SWITCH_MARGIN = 0.01;
    /** Off is tried only if its score, which may be wrong, is at least such a share of the best. */
    private static final double TRY_OFF_SHARE = 0.25;
    /**
     * By how many standard deviations of what is known of its steps a plan that is tried may be better than it seems, and by how much more
     * one that was never seen: profiles may be wrong.
     */
    private static final double HOPED_DEVIATIONS = 2;
    private static final double UNKNOWN = 0.2;
    /**
     * By how many of them less one is believed that would take another's place: of many that are not known, one always seems the best. For
     * 4 requests of the bundled model a sixth of all steps had other plans than the best with 0.5, and a twelfth with 2.
     */
    private static final double CAUTION = 2;
    /** The same after a change of the load: what was best under another one has no such claim to its place. */
    private static final double LITTLE_CAUTION = 0.5;
    /** Of a rollout's last steps, which the end cuts short, nothing is kept that is to be true of others with as many requests. */
    private static final double LAST_STEPS = 4;
    private static final double EXTENSION_DECAY = 0.998;
    /** An extension is not believed to have taken more than so many times what a profile, measured with all in caches, says. */
    private static final double MOST_EXTENSION = 4;
    /**
     * How many times the price of turning on staying off must have cost. 1 bounds the loss best; but the ends of most batches are short,
     * and at 1 turning on in the last dozen steps of 16 requests cost 1 % of the rollout.
     */
    private static final double PATIENCE = 2;
    /** More of the device than this is never taken to be others': under any load, steps end. */
    private static final double MOST_LOAD = 0.95;
    /** A load that has come or gone is not left to the end of a hold. */
    private static final double LOAD_JUMP = 0.2;
    /** While the load changes by more than this from decision to decision, steps are not compared: it is told late. */
    private static final double LOAD_CHANGE = 0.05;
    /** Nor are they under a load of more than this: others' time slices are longer than steps and hit some of them by chance. */
    private static final double LOAD_NOISE = 0.2;
    /** Under a load that differs by no more than this, those that were near the best are so still: of an idle machine some is used, too. */
    private static final double SAME_SCORES = 0.1;

    private final List<SpeculationPlan> plans;
    private final PlanGains gains;
    private final PlanCosts costs;
    /** What they say of the batch that was last asked for. */
    private final BatchCosts batchCosts;
    private final double margin;
    private final int maxRows;
    private final DoubleSupplier utilization;
    /** What others use of the device, as of the last decision. */
    private double load;
    /** The same when it had last changed so much that plans far from the best had to be scored again. */
    private double scoredLoad;
    private int current;
    /** Seconds that staying off has cost since another plan became better. */
    private double foregone;
    /** Seconds of extending the drafter over new requests' prompts while plans were on, and tokens drawn meanwhile; both fade. */
    private double extendedSeconds;
    private double extendedTokens = 1;
    private boolean wasOff = true;
    /** Tokens that are expected to be drawn until the rollout's end; infinite if nothing is known. */
    private double remaining = Double.POSITIVE_INFINITY;
    private int decidedBatch = -1;
    private int held;
    private int hold;
    /** Whether off was decided on, and no plan came near it. */
    private boolean clearlyOff;
    private final StepCorrections corrections = new StepCorrections();
    private final Tries tries = new Tries();
    /** Whether another plan was last looked for among a few. */
    private boolean triedNear;
    private final Contenders contenders;
    private final WarmUp warmUp = new WarmUp();
    private final ColdStarts coldStarts = new ColdStarts();
    private final TurnOn turnOn = new TurnOn(this::offSeconds, this::savedShare, this::turnOnSeconds);
    private final StepLog log = new StepLog(LONGEST_HOLD);
    private double costErrors;
    private double costWeights;

    /**
     * @param plans candidates; off is added if it is missing
     * @param margin how much better than off, as a share, a plan must be to replace it; from plan to plan no more than 0.01 is asked for
     * @param maxRows most rows of one verify pass
     */
    public PlanSolver(List<SpeculationPlan> plans, AcceptanceTracker acceptance, PlanCosts costs, double margin, int maxRows) {
        this(plans, acceptance, costs, margin, maxRows, () -> 0);
    }

    /**
     * As above, on a device that others use too.
     *
     * @param utilization the share of it that they use now, 0 to 1: see {@link SharedDevice}
     */
    public PlanSolver(List<SpeculationPlan> plans, AcceptanceTracker acceptance, PlanCosts costs, double margin, int maxRows,
                      DoubleSupplier utilization) {
        List<SpeculationPlan> all = new ArrayList<>();
        all.add(SpeculationPlan.OFF);
        plans.stream().filter(p -> !p.isOff()).forEach(all::add);
        this.plans = List.copyOf(all);
        this.gains = new PlanGains(this.plans, acceptance);
        this.costs = costs;
        this.batchCosts = new BatchCosts(this.plans, costs);
        this.contenders = new Contenders(this.plans.size());
        this.margin = margin;
        this.maxRows = maxRows;
        this.utilization = utilization;
    }

    /** Says where it stands, from now on, which requests are live and what is left of each. */
    public void attach(LiveBatch batch) {
        turnOn.attach(batch);
    }

    /** Sensible plans within limits. */
    public static List<SpeculationPlan> candidates(int maxDepth, int maxBranch, int maxTokens) {
        List<SpeculationPlan> plans = new ArrayList<>();
        for (int depth = 1; depth <= maxDepth; depth++) {
            for (int branch : new int[] {1, 2, 3, 4, 6, 8}) {
                for (int tokens : new int[] {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 63}) {
                    boolean useful = branch == 1 ? tokens == depth : tokens > depth;
                    if (branch <= maxBranch && tokens <= maxTokens && useful && tokens <= SpeculationPlan.pool(depth, branch)
                        && tokens <= 6 * depth) {
                        plans.add(new SpeculationPlan(depth, branch, tokens));
                    }
                }
            }
        }
        return plans;
    }

    /**
     * The plan of the next step where nothing is known of how much is still to be drawn.
     *
     * @param missedRows decided tokens that the drafter has not been extended over
     */
    public SpeculationPlan choose(int batch, int missedRows) {
        return choose(batch, missedRows, Double.NaN);
    }

    /**
     * The plan of the next step.
     *
     * @param missedRows decided tokens that the drafter has not been extended over
     * @param remainingTokens tokens that are expected to be drawn until the rollout's end; NaN if nothing is known
     */
    public SpeculationPlan choose(int batch, int missedRows, double remainingTokens) {
        double now = Math.min(utilization.getAsDouble(), MOST_LOAD);
        double same = clearlyOff ? SAME_BATCH_CLEAR : SAME_BATCH;
        if (++held < hold && Math.abs(batch - decidedBatch) <= same * decidedBatch && fits(batch)
            && Math.abs(now - load) < LOAD_JUMP) {
            return plans.get(taken());
        }
        boolean steady = held >= hold;
        double caution = Math.abs(now - load) > LOAD_CHANGE ? LITTLE_CAUTION : CAUTION;
        takeLoad(now);
        int passed = Math.max(1, held);
        if (tries.tried() < 0) {
            tries.pass(decidedBatch, current == 0, passed);
        }
        int before = taken();
        decidedBatch = batch;
        held = 0;
        remaining = Double.isNaN(remainingTokens) ? Double.POSITIVE_INFINITY : Math.max(1, remainingTokens);
        gains.refresh(passed);
        double off = score(0, batch);
        double currentScore = current == 0 ? off : score(current, batch);
        int best = current;
        double bestScore = currentScore * (1 + (current == 0 ? margin : Math.min(margin, SWITCH_MARGIN)));
        int on = current;
        double onScore = current == 0 ? 0 : currentScore;
        int size = StepCorrections.size(batch);
        boolean all = contenders.all(size);
        for (int k = 0; k < (all ? plans.size() : contenders.count(size)); k++) {
            int i = all ? k : contenders.plan(size, k);
            double score = i == 0 ? off : i == current ? currentScore : score(i, batch);
            if (all) {
                contenders.note(i, score);
            }
            if (i == 0) {
                continue;
            }
            double sure = current == 0 ? score : score * Math.exp(-caution * deviation(i, batch));
            if (i != current && sure > bestScore) {
                best = i;
                bestScore = sure;
            }
            if (score > onScore) {
                on = i;
                onScore = score;
            }
        }
        if (all) {
            contenders.end(size);
        }
        turnOn.note(batch, 1 - off / onScore, remaining > LAST_STEPS * batch * gains.tokens(on));
        if (current != 0) {
            // On trees, which cost more the less they are worth, off needs no margin to win.
            boolean offWins = off > (best == current ? currentScore : bestScore);
            current = !offWins ? best : turningOffPays(batch, missedRows, remainingTokens, on) ? 0 : on;
            foregone = 0;
        } else if (best == 0) {
            foregone = 0;
        } else if (turningOnPays(passed, batch, missedRows, remainingTokens, on, 1 / off - 1 / bestScore)) {
            current = best;
        }
        if (tries.tried() >= 0) {
            tries.end(batch, score(tries.tried(), batch));
        } else if (steady) {
            // The first steps of a batch, caches cold, would be laid to what is tried in them.
            tryAnother(batch, missedRows, off, on, onScore, remainingTokens);
        }
        clearlyOff = taken() == 0 && current == 0 && onScore < CLEAR_SHARE * off;
        hold = holdSteps(passed, taken() == before);
        return plans.get(taken());
    }

    /** Whether to leave off for a plan that saves {@code gain} seconds by token, {@code on} being the best of all. */
    private boolean turningOnPays(int passed, int batch, int missedRows, double remainingTokens, int on, double gain) {
        foregone += passed * batch * gain;
        if (Double.isNaN(remainingTokens)) {
            return foregone >= PATIENCE * turnOnSeconds(batch, missedRows, on);
        }
        return turnOn.pays(batch, missedRows, remainingTokens, on);
    }

    /** Whether to go off, though {@code on}, the best of all plans, may soon be worth more again. */
    private boolean turningOffPays(int batch, int missedRows, double remainingTokens, int on) {
        return Double.isNaN(remainingTokens) || turnOn.leavingPays(batch, missedRows, remainingTokens, on);
    }

    /** Seconds of a step of off, for whatever batch: unlike {@link #verifySeconds} it leaves {@link #batchCosts} at the present one. */
    private double offSeconds(int batch) {
        return costs.verifySeconds(batch, SpeculationPlan.OFF) * corrections.verify(batch, SpeculationPlan.OFF);
    }

    /** What share of off's time the best of the plans that are near the present batch's best would save with {@code batch} requests. */
    private double savedShare(int batch) {
        int size = StepCorrections.size(decidedBatch);
        double best = 0;
        for (int k = 0; k < contenders.count(size); k++) {
            int i = contenders.plan(size, k);
            best = i == 0 ? best : Math.max(best, score(i, batch));
        }
        return best == 0 ? 0 : 1 - score(0, batch) / best;
    }

    private int holdSteps(int passed, boolean confirmed) {
        if (tries.tried() >= 0) {
            return Tries.STEPS;
        }
        if (clearlyOff) {
            return LONGEST_HOLD;
        }
        return confirmed && passed >= hold ? Math.clamp(2L * hold, HOLD, LONGEST_HOLD) : HOLD;
    }

    /** Whether the plan that was taken fits a batch that may have grown since. */
    private boolean fits(int batch) {
        return (long) batch * (plans.get(taken()).tokens() + 1) <= maxRows;
    }

    /**
     * Learns from the steps that were taken under the load as it was, and turns to that of now. A few steps are left for later: in a
     * rollout's tail, where a decision holds for four of them, learning took 15 to 40 us at each, of which most was to have all that it
     * needs in a cache again.
     */
    private void takeLoad(double now) {
        boolean changed = Math.abs(now - load) > LOAD_CHANGE;
        if (changed) {
            turnOn.forget();
        }
        if (Math.abs(now - scoredLoad) > SAME_SCORES) {
            contenders.expire();
            scoredLoad = now;
        }
        if (changed || now > LOAD_NOISE) {
            corrections.part(log.count() + LONGEST_HOLD);
        }
        if (changed || log.count() >= HOLD || tries.tried() >= 0) {
            learn();
        }
        load = now;
    }

    private int taken() {
        return tries.tried() >= 0 ? tries.tried() : current;
    }

    /** Seconds that a first step with plan {@code on} after off takes longer than others. */
    private double turnOnSeconds(int batch, int missedRows, int on) {
        double extension = extensionSeconds(batch, missedRows, on);
        return extension + coldStarts.excess(offSeconds(batch) + extension);
    }

    /** Seconds of extending the drafter over what it would not have missed, had plan {@code on} been taken before. */
    private double extensionSeconds(int batch, int missedRows, int on) {
        int extra = missedRows - extended(batch, gains.tokens(on));
        return extra <= 0 ? 0 : corrections.machine() * costs.extendSeconds(batch, extra);
    }

    /** Rows that the drafter is extended over in any step. */
    private static int extended(int batch, double tokens) {
        return 2 * (int) Math.ceil(batch * tokens);
    }

    /** In place of a plan, off and others in turn are tried now and then, and in place of off the best plan, unless it is hopeless. */
    private void tryAnother(int batch, int missedRows, double off, int on, double onScore, double remainingTokens) {
        if (current == 0) {
            // What is learnt near the end comes too late.
            if (!(remainingTokens < Tries.WORTH_STEPS * batch) && hope(on, batch, onScore) >= off
                && tries.due(Tries.Kind.ON, batch, turnOnSeconds(batch, missedRows, on) + tryLoss(on, batch, onScore, off))) {
                tries.begin(Tries.Kind.ON, on, onScore, off);
            }
            return;
        }
        double taken = score(current, batch);
        // How much worse off may be is not held against it: that may be just what is wrong.
        if (off >= TRY_OFF_SHARE * taken && tries.due(Tries.Kind.OFF, batch, 0)) {
            tries.begin(Tries.Kind.OFF, 0, off, taken);
        } else if (tries.due(Tries.Kind.OTHER, batch, 0)) {
            tryAnotherPlan(batch, taken);
        }
    }

    /**
     * The plan that may well be better than the one that is taken, if any. It is looked for among those that come near the best, and every
     * second time among all: decisions that did took 0.2 ms.
     */
    private void tryAnotherPlan(int batch, double taken) {
        boolean all = triedNear;
        triedNear = !triedNear;
        int best = -1;
        double bestScore = 0;
        double bestHope = taken;
        int size = StepCorrections.size(batch);
        for (int k = 0; k < (all ? plans.size() : contenders.count(size)); k++) {
            int i = all ? k : contenders.plan(size, k);
            if (i == 0 || i == current) {
                continue;
            }
            double score = score(i, batch);
            double hope = hope(i, batch, score);
            if (hope > bestHope) {
                best = i;
                bestScore = score;
                bestHope = hope;
            }
        }
        if (best < 0) {
            tries.none(Tries.Kind.OTHER, batch);
        } else if (tries.due(Tries.Kind.OTHER, batch, tryLoss(best, batch, bestScore, taken))) {
            tries.begin(Tries.Kind.OTHER, best, bestScore, taken);
        }
    }

    /** A score that a plan may well have, for all that is known of what its steps take. */
    private double hope(int index, int batch, double score) {
        return score * Math.exp(HOPED_DEVIATIONS * deviation(index, batch) + UNKNOWN * corrections.ignorance(batch, plans.get(index)));
    }

    /** Standard deviation of the logarithm of what a plan's steps are thought to take. */
    private double deviation(int index, int batch) {
        return corrections.deviation(batch, plans.get(index), draftSeconds(index, batch) / stepSeconds(index, batch));
    }

    /** Seconds that a try is expected to cost. */
    private double tryLoss(int plan, int batch, double score, double taken) {
        return Tries.STEPS * batch * gains.tokens(plan) * Math.max(0, 1 / score - 1 / taken);
    }

    /** Every plan's expected tokens per second, without margin. */
    public Map<SpeculationPlan, Double> scores(int batch) {
        learn();
        gains.expire();
        gains.refresh(1);
        remaining = Double.POSITIVE_INFINITY;
        Map<SpeculationPlan, Double> scores = new LinkedHashMap<>();
        for (int i = 0; i < plans.size(); i++) {
            scores.put(plans.get(i), score(i, batch));
        }
        return scores;
    }

    private double score(int index, int batch) {
        SpeculationPlan plan = plans.get(index);
        if (plan.isOff()) {
            return Math.min(batch, remaining) / verifySeconds(0, batch);
        }
        if (batch * (plan.tokens() + 1) > maxRows) {
            return 0;
        }
        double tokens = Math.min(batch * gains.tokens(index), remaining);
        double seconds = stepSeconds(index, batch) * slowdown(index, batch);
        return tokens / (seconds + tokens * extendedSeconds / extendedTokens);
    }

    /** Seconds of a step on a device that nobody else uses, with nothing to extend the drafter over but what steps add. */
    private double stepSeconds(int index, int batch) {
        return verifySeconds(index, batch) + draftSeconds(index, batch);
    }

    /** By how much others' use of the device lengthens a step, over how much it lengthens off's. */
    private double slowdown(int index, int batch) {
        if (load == 0 || index == 0) {
            return 1;
        }
        double step = stepSeconds(index, batch);
        return SharedDevice.seconds(verifySeconds(0, batch), step, plans.get(index).tokens(), load) / step;
    }

    private double verifySeconds(int index, int batch) {
        return batchCosts.verify(batch, index) * corrections.verify(batch, plans.get(index));
    }

    private double draftSeconds(int index, int batch) {
        return index == 0 ? 0 : profileDraft(index, batch) * corrections.draft(batch, plans.get(index));
    }

    /** The drafter is extended over what the step before gained. */
    private double profileDraft(int index, int batch) {
        return batchCosts.draft(batch, index, (int) Math.ceil(batch * gains.tokens(index)));
    }

    /** What a step of {@code plan} gained and how long its two halves took. */
    public void observe(SpeculationPlan plan, int batch, int missedRows, int tokens, double draftSeconds, double verifySeconds) {
        // Nearly always what was chosen, which need not be looked for among hundreds.
        int index = plans.get(taken()) == plan ? taken() : plans.indexOf(plan);
        if (log.isFull()) {
            learn();
        }
        log.add(index, batch, missedRows, tokens, draftSeconds, verifySeconds);
    }

    /** Learns from the steps that were observed since the last call. */
    private void learn() {
        for (int step = 0; step < log.count(); step++) {
            tries.observe(log.plan(step), log.draftSeconds(step) + log.verifySeconds(step), log.tokens(step));
            if (warmUp.ends(log.draftSeconds(step) + log.verifySeconds(step), corrections.machine())) {
                corrections.forget();
                contenders.forget();
                turnOn.forget();
                coldStarts.forget();
            }
            if (log.plan(step) >= 0) {
                learn(log.plan(step), log.batch(step), log.missedRows(step), log.tokens(step), log.draftSeconds(step),
                    log.verifySeconds(step));
            }
        }
        log.clear();
    }

    private void learn(int index, int batch, int missedRows, int tokens, double draftSeconds, double verifySeconds) {
        SpeculationPlan plan = plans.get(index);
        double extension = plan.isOff() ? 0 : extensionSeconds(batch, missedRows, index);
        // What is laid to the load of the device is not laid to the profile.
        double slowdown = slowdown(index, batch);
        double expected = (stepSeconds(index, batch) + extension) * slowdown;
        judge(expected, draftSeconds + verifySeconds);
        if (wasOff && !plan.isOff()) {
            coldStarts.observe(draftSeconds + verifySeconds - expected, offSeconds(batch) + extension);
            wasOff = false;
            gains.observe(index, batch, tokens);
            return;
        }
        double verifyRatio = verifySeconds / (batchCosts.verify(batch, index) * slowdown);
        double predicted = plan.isOff() ? 0 : profileDraft(index, batch);
        double drafting = draftSeconds / slowdown - extension;
        corrections.observe(batch, plan, verifyRatio, extension < predicted && drafting > 0 ? drafting / predicted : Double.NaN);
        if (plan.isOff()) {
            wasOff = true;
            coldStarts.fade();
            gains.observe(index, batch, tokens);
            return;
        }
        // What was missed while off is the price of turning on; the rest are prompts of new requests, which off does not pay for.
        double extending = Math.clamp(draftSeconds / slowdown - draftSeconds(index, batch), 0, MOST_EXTENSION * extension);
        extendedSeconds = EXTENSION_DECAY * extendedSeconds + extending;
        extendedTokens = EXTENSION_DECAY * extendedTokens + tokens;
        gains.observe(index, batch, tokens);
    }

    private void judge(double predicted, double seconds) {
        costErrors = ERROR_DECAY * costErrors + Math.min(1, Math.abs(predicted / seconds - 1));
        costWeights = ERROR_DECAY * costWeights + 1;
    }

    /**
     * How wrong steps' predicted times were of late: decayed mean of their relative errors, each at most 1, so that a step that was
     * interrupted does not outweigh the rest; NaN before the first.
     */
    public double costError() {
        learn();
        return costWeights == 0 ? Double.NaN : costErrors / costWeights;
    }

    /**
     * How wrong the predicted tokens of speculative steps were of late: relative difference of the decayed sums, since how many a single
     * step gains is chance; NaN before the first.
     */
    public double tokensError() {
        learn();
        return gains.error();
    }
}
