package org.respec.engine.speculation;

/** The requests of a step: whose place each has, and about how much is left of it. Filled anew for every step. */
public final class LiveBatch {
    /** Remaining lengths of 1, 2 to 3, 4 to 7 and so on to 16384 and more are a class each. */
    static final int CLASSES = 15;

    private final int[] seats;
    private final long[] tenants;
    private final int[] classes;
    private final double[] remaining;
    private final int[] drawn;
    private final double[] scales;
    private final Survival survival;
    private int size;

    /**
     * For steps of some requests.
     *
     * @param most most requests of a step, and seats that there are
     * @param survival how their responses end
     */
    public LiveBatch(int most, Survival survival) {
        this.survival = survival;
        seats = new int[most];
        tenants = new long[most];
        classes = new int[most];
        remaining = new double[most];
        drawn = new int[most];
        scales = new double[most];
    }

    /** Begins a step: nobody is live. */
    public void clear() {
        size = 0;
    }

    /**
     * Adds a request; its number in the batch is how many were added before.
     *
     * @param seat a number below the most requests that it keeps while it is live
     * @param tenant a number that tells it from all who had or will have the seat
     * @param tokens that it has drawn
     * @param scale how much longer responses to its prompt are expected to be than all
     * @param remaining tokens that are expected to be left, at least 1
     */
    public void add(int seat, long tenant, int tokens, double scale, double remaining) {
        seats[size] = seat;
        tenants[size] = tenant;
        drawn[size] = tokens;
        scales[size] = scale;
        this.remaining[size] = remaining;
        classes[size++] = Math.min(CLASSES - 1, Integer.SIZE - 1 - Integer.numberOfLeadingZeros(Math.max(1, (int) remaining)));
    }

    /** Requests that are expected to be live when so many more tokens of each were drawn. */
    double liveAfter(double ahead) {
        double live = 0;
        for (int r = 0; r < size; r++) {
            double share = survival.share(drawn[r], ahead, scales[r]);
            // Nothing is known before a first response has ended: then all have the limit to go.
            live += Double.isNaN(share) ? remaining[r] > ahead ? 1 : 0 : share;
        }
        return live;
    }

    /** Live requests. */
    public int size() {
        return size;
    }

    int most() {
        return seats.length;
    }

    int seat(int request) {
        return seats[request];
    }

    long tenant(int request) {
        return tenants[request];
    }

    int lengthClass(int request) {
        return classes[request];
    }
}
