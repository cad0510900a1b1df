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
     */
    record Pass(AttentionShape shape, Tensor[] steps, Tensor[] gradients, int depth, Tensor dOut) {
        float scale() {
            return (float) (1 / Math.sqrt(shape.headDim()));
        }
    }

    private final SeenKeys seen = new SeenKeys();
    /** For one row: e, then scale ds. */
    private float[] slopes = new float[0];
    /** By key and row of the block: p, and scale ds. */
    private float[] valueWeights = new float[0];
    private float[] keyWeights = new float[0];

    private Pass pass;
    private int dim;
    private float scale;
    private long keyStride;
    private long gradientStride;
    /** Distance from a key of the head to its value. */
    private long values;

    /** Adds the gradients of rows {@code start} to {@code end}, one sequence, at one KV head and at the queries that share it. */
    void add(Pass of, int start, int end, int kvHead) {
        pass = of;
        dim = of.shape.headDim();
        scale = of.scale();
        keyStride = of.steps[0].rowStride() * 4;
        gradientStride = of.gradients[0].rowStride() * 4;
        values = 4L * of.shape.kvWidth();
        room(end - start);
        for (int head = kvHead * of.shape.group(); head < (kvHead + 1) * of.shape.group(); head++) {
            seen.clear(end - start + of.depth);
            for (int first = start; first < end; first += BLOCK) {
                int last = Math.min(end, first + BLOCK);
                for (int r = first; r < last; r++) {
                    row(start, first, r, head, kvHead);
                }
                keys(start, first, last, head, kvHead);
            }
        }
    }

    private void room(int keys) {
        int padded = FastMath.padded(keys + pass.depth) + FastMath.BLOCK;
        if (slopes.length < padded) {
            slopes = new float[padded];
        }
        if (valueWeights.length < keys * BLOCK) {
            valueWeights = new float[keys * BLOCK];
            keyWeights = new float[keys * BLOCK];
        }
    }

    private long key(Tensor[] of, int step, int row, int kvHead) {
        return of[step].address() + 4 * (row * of[step].rowStride() + pass.shape.queryWidth() + (long) kvHead * dim);
    }

    /** Gradients at a query and at the keys that only its row sees; the others' weights. */
    private void row(int start, int first, int r, int head, int kvHead) {
        int chain = r - start + 1;
        seen.count = chain - 1;
        seen.add(key(pass.steps, 0, r, kvHead));
        for (int d = 1; d <= pass.depth; d++) {
            seen.add(key(pass.steps, d, r, kvHead));
        }
        long query = pass.steps[pass.depth].address() + 4 * (r * pass.steps[pass.depth].rowStride() + (long) head * dim);
        long up = pass.dOut.address() + 4 * (r * pass.dOut.rowStride() + (long) head * dim);
        float inverse = 1f / seen.weigh(query, 0, dim, scale);
        KeyProducts.scores(up, seen.keys, values, dim, seen.count, 1f, slopes);
        KeyProducts.softmaxBackward(seen.scores, slopes, seen.count, inverse, scale);
        for (int t = 0, at = r - first; t < chain; t++, at += BLOCK) {
            valueWeights[at] = seen.scores[t];
            keyWeights[at] = slopes[t];
        }
        long dq = pass.gradients[pass.depth].address() + 4 * (r * pass.gradients[pass.depth].rowStride() + (long) head * dim);
        KeyProducts.addMix(slopes, 0, key(pass.steps, 0, start, kvHead), keyStride, dim, chain, dq);
        for (int d = 1; d <= pass.depth; d++) {
            int t = chain + d - 1;
            long gradient = key(pass.gradients, d, r, kvHead);
            KeyProducts.addMix(slopes, t, seen.keys[t], 0, dim, 1, dq);
            KeyProducts.addMix(slopes, t, query, 0, dim, 1, gradient);
            KeyProducts.addMix(seen.scores, t, up, 0, dim, 1, gradient + values);
        }
    }

    /** Gradients at the keys and values that the block's rows see. */
    private void keys(int start, int first, int last, int head, int kvHead) {
        long queryStride = pass.steps[pass.depth].rowStride() * 4;
        long upStride = pass.dOut.rowStride() * 4;
        for (int t = start; t < last; t++) {
            int from = Math.max(first, t);
            int at = (t - start) * BLOCK + from - first;
            long gradient = pass.gradients[0].address() + 4L * (pass.shape.queryWidth() + (long) kvHead * dim) + t * gradientStride;
            long query = pass.steps[pass.depth].address() + 4L * head * dim + from * queryStride;
            long up = pass.dOut.address() + 4L * head * dim + from * upStride;
            KeyProducts.addMix(keyWeights, at, query, queryStride, dim, last - from, gradient);
            KeyProducts.addMix(valueWeights, at, up, upStride, dim, last - from, gradient + values);
        }
    }
}
