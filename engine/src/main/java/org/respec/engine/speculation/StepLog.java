package org.respec.engine.speculation;

/** The last steps, noted one by one and learnt from together: what is learnt lies in many places, of which steps leave none in a cache. */
final class StepLog {
    private final int[] plans;
    private final int[] batches;
    private final int[] missedRows;
    private final int[] tokens;
    private final double[] draftSeconds;
    private final double[] verifySeconds;
    private int count;

    StepLog(int capacity) {
        plans = new int[capacity];
        batches = new int[capacity];
        missedRows = new int[capacity];
        tokens = new int[capacity];
        draftSeconds = new double[capacity];
        verifySeconds = new double[capacity];
    }

    boolean isFull() {
        return count == plans.length;
    }

    int count() {
        return count;
    }

    void add(int plan, int batch, int missed, int gained, double draft, double verify) {
        plans[count] = plan;
        batches[count] = batch;
        missedRows[count] = missed;
        tokens[count] = gained;
        draftSeconds[count] = draft;
        verifySeconds[count++] = verify;
    }

    void clear() {
        count = 0;
    }

    int plan(int step) {
        return plans[step];
    }

    int batch(int step) {
        return batches[step];
    }

    int missedRows(int step) {
        return missedRows[step];
    }

    int tokens(int step) {
        return tokens[step];
    }

    double draftSeconds(int step) {
        return draftSeconds[step];
    }

    double verifySeconds(int step) {
        return verifySeconds[step];
    }
}
