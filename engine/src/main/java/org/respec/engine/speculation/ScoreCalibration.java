package org.respec.engine.speculation;

import java.util.Arrays;
import org.respec.kernels.TreeBatch;

/**
 * What the chances that a drafter gives its own choices are worth. They decide which nodes of a tree are verified, and, where requests
 * share one budget, how many of each; but a drafter is surer of itself the further it drafts past what it was taught, and about some
 * requests than about others. So what it said is compared with what came, by depth, by class of remaining length and by request, in
 * decaying windows, and chances of the steps to come are multiplied by what was found: {@code log(rate of depth) + log(rate of request)}
 * is added to their logs. Depths that were not seen follow the one above.
 */
public final class ScoreCalibration {
    private static final int DEPTHS = TreeBatch.MAX_DEPTH;
    /** Chances of a depth after which an old one counts 1/e, and the expected hits that a depth's rate is drawn by. */
    private static final double WINDOW = 2000;
    private static final double PRIOR = 30;
    private static final double LEAST = 0.02;

    private final LiveBatch live;
    private final RequestRates requests;
    private final double[] hits = new double[DEPTHS + 1];
    private final double[] predicted = new double[DEPTHS + 1];
    private final double[] rates = new double[DEPTHS + 1];
    private final float[] depthBiases = new float[DEPTHS + 1];
    private final float[] requestBiases;

    /** @param live whom the numbers of requests mean */
    public ScoreCalibration(LiveBatch live) {
        this.live = live;
        requests = new RequestRates(live);
        requestBiases = new float[live.most()];
        clear();
    }

    /** Forgets everything: another drafter's chances are worth something else. */
    public void clear() {
        requests.clear();
        Arrays.fill(hits, 0);
        Arrays.fill(predicted, 0);
        Arrays.fill(rates, 1);
    }

    /** Takes what is known now into the {@link #bias} of the step that begins. */
    public void begin() {
        for (int depth = 1; depth <= DEPTHS; depth++) {
            rates[depth] = (hits[depth] + PRIOR * rates[depth - 1]) / (predicted[depth] + PRIOR);
            depthBiases[depth] = (float) Math.log(Math.max(LEAST, rates[depth]));
        }
        for (int r = 0; r < live.size(); r++) {
            requestBiases[r] = (float) Math.log(Math.max(LEAST, requests.rate(r)));
        }
    }

    /** What is added to the log-chances of a request's candidates at a depth. */
    public float bias(int request, int depth) {
        return depthBiases[depth] + requestBiases[request];
    }

    /**
     * At a node of depth {@code depth - 1}, the actor's token was among the drafter's choices, or was not.
     *
     * @param chance that the drafter gave these choices together, {@link #bias} included
     */
    public void observe(int request, int depth, double chance, boolean hit) {
        double said = said(request, depth, chance);
        double decay = 1 - 1 / WINDOW;
        hits[depth] = decay * hits[depth] + (hit ? 1 : 0);
        predicted[depth] = decay * predicted[depth] + said;
        requests.observe(request, Math.min(1, said * rates[depth]), hit);
    }

    /** A response ended at a node of depth {@code depth - 1}, below which the drafter named choices for nothing. */
    public void observeEnd(int request, int depth, double chance) {
        requests.observe(request, Math.min(1, said(request, depth, chance) * rates[depth]), false);
    }

    private double said(int request, int depth, double chance) {
        return Math.min(1, chance * Math.exp(-bias(request, depth)));
    }
}
