package org.respec.engine.speculation;

import java.util.Arrays;

/**
 * How much more or less often than was predicted for all requests the drafter is right: by class of remaining length, and by request
 * within its class. Each rate is what happened over what was predicted, in decaying sums, drawn towards the class's, or towards 1, as far
 * as little was seen.
 */
final class RequestRates {
    /** Predictions after which an old one counts 1/e. */
    private static final double CLASS_WINDOW = 2000;
    private static final double REQUEST_WINDOW = 100;
    /** Hits of the expected number that a rate is drawn by. */
    private static final double CLASS_PRIOR = 100;
    private static final double REQUEST_PRIOR = 40;

    private final LiveBatch live;
    private final double[] classHits = new double[LiveBatch.CLASSES];
    private final double[] classPredicted = new double[LiveBatch.CLASSES];
    private final double[] hits;
    private final double[] predicted;
    private final long[] tenants;

    /** @param live whom the numbers of requests mean */
    RequestRates(LiveBatch live) {
        this.live = live;
        hits = new double[live.most()];
        predicted = new double[live.most()];
        tenants = new long[live.most()];
        Arrays.fill(tenants, -1);
    }

    void clear() {
        Arrays.fill(classHits, 0);
        Arrays.fill(classPredicted, 0);
        Arrays.fill(tenants, -1);
    }

    /** What chances that hold for all are to be multiplied by for a live request. */
    double rate(int request) {
        double rate = classRate(live.lengthClass(request));
        int seat = live.seat(request);
        return tenants[seat] != live.tenant(request) ? rate
            : rate * (hits[seat] + REQUEST_PRIOR) / (predicted[seat] + REQUEST_PRIOR);
    }

    private double classRate(int lengthClass) {
        return (classHits[lengthClass] + CLASS_PRIOR) / (classPredicted[lengthClass] + CLASS_PRIOR);
    }

    /** A live request's token was among the drafter's choices, or not, where for all requests the chance is {@code chance}. */
    void observe(int request, double chance, boolean hit) {
        int c = live.lengthClass(request);
        int seat = live.seat(request);
        if (tenants[seat] != live.tenant(request)) {
            tenants[seat] = live.tenant(request);
            hits[seat] = 0;
            predicted[seat] = 0;
        }
        double decay = 1 - 1 / REQUEST_WINDOW;
        hits[seat] = decay * hits[seat] + (hit ? 1 : 0);
        predicted[seat] = decay * predicted[seat] + Math.min(1, chance * classRate(c));
        double classDecay = 1 - 1 / CLASS_WINDOW;
        classHits[c] = classDecay * classHits[c] + (hit ? 1 : 0);
        classPredicted[c] = classDecay * classPredicted[c] + chance;
    }
}
