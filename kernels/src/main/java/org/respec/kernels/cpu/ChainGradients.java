package org.respec.kernels.cpu;

import org.respec.kernels.AttentionShape;
import org.respec.kernels.Tensor;

/**
 * Gradients of attention over a packed sequence, by one thread. With p the softmax, e = dOut . v and D = sum p e: dv += p dOut,
 * ds = p (e - D), dq += scale ds k, dk += scale ds q.
 *
 * <p>Rows go by blocks. Each row of a block leaves its weights by key, so that a key's gradients are read and written once a block, for
 * all rows that see it. Scratch is as long as the sequence, never its square.
 */
final class ChainGradients {
    /** Rows of a block. */
    private static final int BLOCK = 32;

    /**
     * What attention was computed from, and where gradients go.
     *
     * @param steps rotated rows of each unrolled step; queries are the last one's
     * @param gradients at {@code steps}
     * @param dOut gradient at attention's output
     * @param scale of queries' products with keys
     */
    record Pass(AttentionShape shape, Tensor[] steps, Tensor[] gradients, int depth, Tensor dOut, float scale) {
    }

    private final SeenKeys seen = new SeenKeys();
    /** For one row: e, then scale ds. */
    private float[] slopes = new float[0];
    /** By key and row of the block: p, and scale ds. */
    private float[] valueWeights = new float[0];
    private float[] keyWeights = new float[0];

    private Pass pass;
    private int dim;
    /** Distance from a key of the head to its value. */
    private long values;

    /** Adds the gradients of rows {@code start} to {@code end}, one sequence, at one KV head and at the queries that share it. */
    void add(Pass of, int start, int end, int kvHead) {
        pass = of;
        dim = of.shape.headDim();
        values = 4L * of.shape.kvWidth();
        room(end - start);
        int keyHead = of.shape.heads() + kvHead;
        for (int head = kvHead * of.shape.group(); head < (kvHead + 1) * of.shape.group(); head++) {
            for (int first = start; first < end; first += BLOCK) {
                int last = Math.min(end, first + BLOCK);
                for (int r = first; r < last; r++) {
                    row(start, first, r, head, keyHead);
                }
                keys(start, first, last, head, keyHead);
            }
        }
    }

    private void room(int keys) {
        seen.clear(keys + pass.depth);
        int padded = FastMath.padded(keys + pass.depth) + KeyProducts.KEYS;
        if (slopes.length < padded) {
            slopes = new float[padded];
        }
        int weights = Math.multiplyExact(keys, BLOCK);
        if (valueWeights.length < weights) {
            valueWeights = new float[weights];
            keyWeights = new float[weights];
        }
    }

    /** Where one head of a row lies; those of keys come after those of queries. */
    private long at(Tensor rows, int row, int head) {
        return rows.address() + 4 * (row * rows.rowStride() + (long) head * dim);
    }

    /** Gradients at a query and at the keys that only its row sees; the others' weights. */
    private void row(int start, int first, int r, int head, int keyHead) {
        int chain = r - start + 1;
        // The rows before have listed the keys before.
        seen.count = chain - 1;
        seen.add(at(pass.steps[0], r, keyHead));
        for (int d = 1; d <= pass.depth; d++) {
            seen.add(at(pass.steps[d], r, keyHead));
        }
        seen.end();
        long query = at(pass.steps[pass.depth], r, head);
        long up = at(pass.dOut, r, head);
        float inverse = 1f / seen.weigh(query, 0, dim, pass.scale);
        KeyProducts.scores(up, seen.keys, values, dim, seen.count, 1f, 0f, slopes);
        KeyProducts.softmaxBackward(seen.scores, slopes, seen.count, inverse, pass.scale);
        for (int t = 0, at = r - first; t < chain; t++, at += BLOCK) {
            valueWeights[at] = seen.scores[t];
            keyWeights[at] = slopes[t];
        }
        long dq = at(pass.gradients[pass.depth], r, head);
        KeyProducts.addMix(slopes, 0, at(pass.steps[0], start, keyHead), pass.steps[0].rowStride() * 4, dim, chain, dq);
        for (int d = 1; d <= pass.depth; d++) {
            int t = chain + d - 1;
            long gradient = at(pass.gradients[d], r, keyHead);
            KeyProducts.addMix(slopes, t, seen.keys[t], 0, dim, 1, dq);
            KeyProducts.addMix(slopes, t, query, 0, dim, 1, gradient);
            KeyProducts.addMix(seen.scores, t, up, 0, dim, 1, gradient + values);
        }
    }

    /** Gradients at the keys and values that the block's rows see. */
    private void keys(int start, int first, int last, int head, int keyHead) {
        Tensor queries = pass.steps[pass.depth];
        for (int t = start; t < last; t++) {
            int from = Math.max(first, t);
            int weights = (t - start) * BLOCK + from - first;
            long gradient = at(pass.gradients[0], t, keyHead);
            KeyProducts.addMix(keyWeights, weights, at(queries, from, head), queries.rowStride() * 4, dim, last - from, gradient);
            KeyProducts.addMix(valueWeights, weights, at(pass.dOut, from, head), pass.dOut.rowStride() * 4, dim, last - from,
                gradient + values);
        }
    }
}
