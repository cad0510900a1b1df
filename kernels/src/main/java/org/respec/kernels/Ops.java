package org.respec.kernels;

/**
 * The one interface the engine computes through. Implementations: the CPU and CUDA.
 *
 * <p>Conventions. Matrices are row-major; {@code rows} says how many leading rows of the tensors are live, so that workspaces can
 * be larger than a step. Accumulation is in 32-bit floats at least. Operators named {@code ...Backward} add to parameter
 * gradients; each one's documentation says whether it adds to or overwrites activation gradients. Every operator checks dtypes,
 * shapes and index ranges that the host knows before it touches memory and throws {@link IllegalArgumentException}, naming the
 * operator and the argument. Operators may run behind the caller's back until {@link #pull} or {@link #synchronize}.
 *
 * <p>Row invariance: in the forward operators the bits of a row's result depend on that row's inputs alone, never on {@code rows},
 * on its place in the batch, on the page numbers, or on whether a visible token is committed or in flight. Speculation rests on it.
 *
 * <p>One thread at a time may call an instance.
 */
public interface Ops extends AutoCloseable {
    /** What this computes on, for people: for instance {@code "cpu, 2 threads, AVX2"}. */
    String device();

    /** UUID of the GPU, as NVML has it; empty where operators run on the host. */
    default String uuid() {
        return "";
    }

    /** A new, empty arena; {@code name} appears in messages about it. */
    TensorArena arena(String name);

    /**
     * Copies the first {@code elements} elements (row 0 first, dense mirrors) from the host to the device, for operators called from now
     * on; the host's side may be changed as soon as this returns.
     */
    void push(HostMirror mirror, long elements);

    /** Copies the first {@code elements} elements from the device to the host and waits until they are there. */
    void pull(HostMirror mirror, long elements);

    /** {@link #pull} that may return before the elements are there: they are after the next {@link #pull} or {@link #synchronize}. */
    default void startPull(HostMirror mirror, long elements) {
        pull(mirror, elements);
    }

    /** Waits for all work that was asked for. */
    void synchronize();

    /** Whether weights, activations and caches may be stored in this type. */
    default boolean stores(DType dtype) {
        return dtype == DType.F32;
    }

    /** Bytes of memory that arenas can still have; {@link Long#MAX_VALUE} where nobody counts them. */
    default long freeBytes() {
        return Long.MAX_VALUE;
    }

    /** Bytes of that memory that a tensor of {@code bytes} takes. */
    default long allocationBytes(long bytes) {
        return Math.ceilDiv(Math.max(1, bytes), 256L) * 256;
    }

    /** What each set of operators takes for itself of the memory that {@link #freeBytes} counts, and of page-locked memory. */
    default OwnMemory ownMemory() {
        return OwnMemory.NONE;
    }

    /** Whether what {@link #replay} makes from now on records graphs. */
    default boolean usesGraphs() {
        return false;
    }

    /** A new place for work that repeats; {@code name} appears in messages about it. */
    default Replay replay(String name) {
        return new DirectReplay();
    }

    /** A clock for a stage of the work that is asked of these operators. */
    default StageClock stageClock() {
        return new HostStageClock();
    }

    // ---------------------------------------------------------------------------------------------------- elementwise

    /** Sets every element of {@code x} (F32) to {@code value}. */
    void fill(Tensor x, float value);

    /** Copies {@code rows} rows of {@code src} to {@code dst}; same dtype and number of columns, any strides. */
    void copy(Tensor src, Tensor dst, int rows);

    /** {@link #copy} that may change the type: from or to BF16 (to nearest, ties to even) where the device stores it. */
    void convert(Tensor src, Tensor dst, int rows);

    /** {@code y += x} over the first {@code rows} rows. */
    void add(Tensor x, Tensor y, int rows);

    /**
     * {@code dst[dstRows[i]] = src[srcRows[i]]} for i under {@code count}, in ascending order of i.
     *
     * @param srcRows I32 vector, or null for row i
     * @param dstRows I32 vector, or null for row i
     */
    void copyRows(Tensor src, Tensor srcRows, Tensor dst, Tensor dstRows, int count);

    // ------------------------------------------------------------------------------------------------ forward operators

    /** {@code out[i] = table[tokens[i]]}; table [vocab x hidden], tokens I32. */
    void embedding(Tensor table, Tensor tokens, Tensor out, int rows);

    /** {@code out = x / sqrt(mean(x^2) + eps) * weight}, row by row; weight [1 x cols]; {@code out} may be {@code x}. */
    void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, int rows);

    /**
     * {@link #rmsNorm} that also keeps what it reads, {@code copy[copyRows[i]] = x[i]}, in one pass where the device has one. {@code copy}
     * overlaps neither {@code x} nor {@code out}.
     *
     * @param copyRows I32 vector of rows that differ, or null for row i
     */
    default void copyRmsNorm(Tensor x, Tensor weight, float eps, Tensor copy, Tensor copyRows, Tensor out, int rows) {
        copyRows(x, null, copy, copyRows, rows);
        rmsNorm(x, weight, eps, out, rows);
    }

    /** A packed copy of {@code weight} [outputs x inputs], owned by {@code arena}. */
    PackedMatrix pack(TensorArena arena, Tensor weight);

    /**
     * A form of {@code weight} for {@link #linear} that may be the weight itself, so that it costs no memory where the device needs no
     * other form: products may see a change of the weight before {@link #repack}.
     */
    default PackedMatrix share(TensorArena arena, Tensor weight) {
        return pack(arena, weight);
    }

    /** Refreshes {@code packed} from {@code weight} of the same shape. */
    void repack(Tensor weight, PackedMatrix packed);

    /** {@code y = x W^T} (or {@code y += x W^T}); x [rows x inputs], y [rows x outputs]; y must not overlap x. */
    void linear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows);

    /**
     * {@link #linear} for training, in whatever order of sums is fastest: a row's last bits may change with the number of rows. Nothing
     * that leads to a drawn token may use it, since tokens must not depend on the rows that share a pass. What training then says of a
     * token differs from what the rollout said by roundings, as it does by its other operators; that is measured, and corrected by
     * importance weights.
     *
     * <p>This one is {@link #linear}. A CUDA device gives products of BF16 to cuBLAS; those of F32 stay, since runs in F32 correct
     * nothing by default.
     */
    default void fastLinear(Tensor x, PackedMatrix w, Tensor y, boolean accumulate, int rows) {
        linear(x, w, y, accumulate, rows);
    }

    /**
     * RMS-normalises every query and key head of fused rows (Qwen3's QK-norm), rotates both by RoPE in the half-split layout, and
     * copies the value heads. {@code out} may be {@code qkv}.
     *
     * @param qkv [rows x fusedWidth]
     * @param qWeight [1 x headDim]
     * @param kWeight [1 x headDim]
     * @param positions I32 [1 x rows]
     * @param shift added to every position
     * @param rope F32 [positions x headDim]: headDim/2 cosines, then as many sines
     */
    void qkNormRope(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
                    Tensor rope, Tensor out, int rows);

    /** Writes the key and value heads of fused rows to the slots of the batch in one layer of the cache. */
    void kvAppend(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int rows);

    /**
     * {@link #qkNormRope} in place, at the batch's positions, and {@link #kvAppend}, in one pass where the device has one. Afterwards the
     * query heads of {@code qkv} are normalised and rotated; its key and value heads are undefined, they are in the cache.
     *
     * @param qkv [rows x fusedWidth], in and out
     * @param qWeight [1 x headDim]
     * @param kWeight [1 x headDim]
     * @param rope F32 [positions x headDim]: headDim/2 cosines, then as many sines
     * @param batch its positions and slots are read
     */
    default void qkNormRopeAppend(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor rope, KvStore kv,
                                  int layer, RowBatch batch, int rows) {
        qkNormRope(qkv, shape, qWeight, kWeight, eps, batch.positions().device(), 0, rope, qkv, rows);
        kvAppend(qkv, shape, kv, layer, batch, rows);
    }

    /**
     * Attention of in-flight rows over the paged cache, masked as {@link RowBatch} says, scaled by 1/sqrt(headDim). The rows' own
     * keys and values must have been appended.
     *
     * @param qkv [rows x fusedWidth], of which the query heads are read
     * @param out [rows x queryWidth]
     */
    void treeAttention(Tensor qkv, AttentionShape shape, KvStore kv, int layer, RowBatch batch, int requests, Tensor out, int rows);

    /** {@code out = silu(gate) * up}; gateUp [rows x 2n] holds gate, then up; out [rows x n]. */
    void swiglu(Tensor gateUp, Tensor out, int rows);

    /** Copies keys and values, all layers, from slot to slot, in ascending order; I32 vectors. */
    void kvMove(KvStore kv, HostMirror fromSlots, HostMirror toSlots, int count);

    /** Copies whole pages, all layers; I32 vectors of page numbers. */
    void kvCopyPages(KvStore kv, HostMirror fromPages, HostMirror toPages, int count);

    // ------------------------------------------------------------------------------------- sampling and speculation

    /**
     * Draws each row's next token by coupled sampling: argmax of {@code log p(x) + noise(seed, request, position + 1, x)}, p being
     * the softmax after temperature and filters. At temperature 0: argmax of the logits. Ties go to the smaller token.
     *
     * @param logits [rows x vocab]
     * @param tokens I32 [1 x rows] out
     * @param logProbs F32 [1 x rows] out: log-probability of the token under the filtered p (temperature 0: under the softmax at 1)
     */
    void sample(Tensor logits, RowBatch batch, SamplingParams params, long seed, Tensor tokens, Tensor logProbs, int rows);

    /**
     * Walks each tree from its root while a child carries the token that was sampled at its parent.
     *
     * @param sampled I32 [1 x rows] from {@link #sample} over the verify rows; request r's node i is row {@code firstRows[r] + i}
     */
    void verifyTrees(RowBatch batch, Tensor sampled, TreeBatch trees, int requests, VerifyResult result);

    /**
     * Names the {@code branch} best children of every expanded node: those with the highest {@code log q(x) + noise} (temperature 0:
     * the highest logit), the noise being that of {@link #sample} at the same position. A child's score is its parent's plus the
     * log-softmax over the vocabulary of its perturbed log-probability times {@code sharpness}, plus the request's bias of this level
     * (see {@link TreeBatch}), or its parent's if it were more. The {@code branch} best new
     * candidates of each request become its frontier, and {@code next} is filled with their rows for the next draft pass: row
     * {@code r * branch + f} has position {@code rootPositions[r] - 1 + level}, in-flight number {@code (level - 1) * branch + f}.
     *
     * @param logits [requests * rowsPerRequest x vocab]
     * @param rowsPerRequest 1 at level 1, else {@code branch}
     * @param level depth of the new candidates, 1 to MAX_DEPTH; level 1 empties the pools first
     * @param params of which the temperature counts. What top-k and top-p leave out of the actor's draw stays in the drafter's: to leave it
     *     out there too raised the bundled models' accept length by 0 to 2.4 % at 3x1x3 and by at most 1.1 % at 4x2x8 (top-p from 0.8,
     *     top-k from 3), for another pass over the logits
     * @param rootPositions I32 [1 x requests] position of each root; new candidates are at {@code rootPositions[r] + level}
     * @param next its tokens, positions, slots, contexts, masks and rowRequests are written; sequences, committed, requestIds read
     */
    void draftExpand(Tensor logits, int rowsPerRequest, int level, int branch, float sharpness, SamplingParams params, long seed,
                     HostMirror rootPositions, TreeBatch trees, int requests, RowBatch next, KvStore draftKv);

    /**
     * Shares {@code total} nodes out among the requests: sets {@code budgets} so that the candidates kept are those with the highest
     * scores of all pools together, at most {@code each} of a request. Ties go to the earlier request. Where the pools hold fewer, all
     * are kept.
     *
     * @param each 0 to MAX_NODES - 1
     */
    void draftBudgets(TreeBatch trees, int requests, int total, int each);

    /**
     * Keeps of each pool the {@code budgets[r]} candidates with the highest scores (ties: the earlier) as nodes under the root, and
     * fills {@code verify} with all nodes' rows: tokens, positions, slots, contexts, masks, rowRequests, firstRows. Node i of
     * request r has in-flight number i and logical place {@code committed[r] + i}.
     *
     * @param rootTokens I32 [1 x requests]
     * @param rootPositions I32 [1 x requests]
     */
    void draftSelect(HostMirror rootTokens, HostMirror rootPositions, TreeBatch trees, int requests, RowBatch verify, KvStore kv);

    /**
     * The {@code k} largest log-probabilities of some rows' softmax at {@code temperature} (0 counts as 1), largest first, ties to
     * the smaller token, and the log of the mass left over.
     *
     * @param rowIndices I32 [1 x count] rows of logits
     * @param ids I32 [count x k] out
     * @param logProbs F32 [count x k] out
     * @param tails F32 [1 x count] out: log(1 - sum), at least -30 where rounding leaves nothing
     */
    void topLogProbs(Tensor logits, float temperature, Tensor rowIndices, int count, Tensor ids, Tensor logProbs, Tensor tails);

    // -------------------------------------------------------------------------------------------------------- training

    /**
     * Causal attention over packed sequences, optionally at the end of a chain of unrolled draft steps (EAGLE-3's training-time
     * test). The query of row r is in {@code steps[depth]}; it sees the keys of {@code steps[0]} from its sequence's first row to r,
     * then row r's own keys of {@code steps[1]} to {@code steps[depth]}. Depth 0 is plain causal attention. On the CPU, bits equal those of
     * {@link #treeAttention} for the same visible tokens; on a GPU the two split contexts differently.
     *
     * @param steps fused rows [rows x fusedWidth] after {@link #qkNormRope}
     * @param out [rows x queryWidth]
     */
    void chainAttention(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor out, int rows);

    /**
     * Gradient of {@link #chainAttention}: adds to the query part of {@code dSteps[depth]} and to the key and value parts of
     * {@code dSteps[0..depth]}. Probabilities are recomputed.
     */
    void chainAttentionBackward(Tensor[] steps, int depth, AttentionShape shape, Spans spans, int sequences, Tensor dOut,
                                Tensor[] dSteps, int rows);

    /** {@code dTable[tokens[i]] += dOut[i]}, in row order. */
    void embeddingBackward(Tensor dOut, Tensor tokens, Tensor dTable, int rows);

    /** Gradient of {@link #rmsNorm}: {@code dX = ...} (or {@code +=}), {@code dWeight += ...}. {@code dX} may be {@code dOut}. */
    void rmsNormBackward(Tensor x, Tensor weight, float eps, Tensor dOut, Tensor dX, boolean accumulate, Tensor dWeight, int rows);

    /** {@code dX = dY W} (or {@code +=}); dY [rows x outputs], weight [outputs x inputs]. */
    void linearBackwardInput(Tensor dY, Tensor weight, Tensor dX, boolean accumulate, int rows);

    /** {@code dWeight += dY^T X}; dWeight [outputs x inputs]. */
    void linearBackwardWeight(Tensor dY, Tensor x, Tensor dWeight, int rows);

    /**
     * Gradient of {@link #qkNormRope}: overwrites {@code dQkv} (value part copied), adds to the norm weights' gradients.
     *
     * @param qkv the input of the forward pass
     * @param dOut gradient of its output; {@code dQkv} may be {@code dOut}
     */
    void qkNormRopeBackward(Tensor qkv, AttentionShape shape, Tensor qWeight, Tensor kWeight, float eps, Tensor positions, int shift,
                            Tensor rope, Tensor dOut, Tensor dQkv, Tensor dQWeight, Tensor dKWeight, int rows);

    /** Gradient of {@link #swiglu}, overwriting {@code dGateUp}, which may be {@code gateUp}. */
    void swigluBackward(Tensor gateUp, Tensor dOut, Tensor dGateUp, int rows);

    /** Log-probabilities of target tokens under softmax(logits / temperature) (0 counts as 1); targets I32, out F32 [1 x rows]. */
    void logProbs(Tensor logits, Tensor targets, float temperature, Tensor out, int rows);

    /**
     * Replaces logits by the gradient of {@code sum_i coefficients[i] * logProb_i}: {@code c (onehot - softmax) / temperature}.
     * Rows with coefficient 0 become zeros.
     *
     * @param coefficients F32 [1 x rows]
     */
    void logProbsBackward(Tensor logits, Tensor targets, float temperature, Tensor coefficients, int rows);

    /**
     * The policy-gradient loss of each row's target token as {@link PolicyTerms} says, in one pass over the logits: its log-probability
     * under softmax(logits / temperature) (0 counts as 1), and the gradient of the weighted sum of losses by the logits. Rows with weight 0
     * become zeros with log-probability 0.
     *
     * @param logits [rows x vocab]
     * @param targets I32 [1 x rows]
     * @param logProbs F32 [1 x rows] out
     * @param gradient [rows x vocab] out: F32, or BF16 where the device stores it; may be {@code logits} where their types are equal
     */
    void policyLoss(Tensor logits, Tensor targets, float temperature, PolicyTerms terms, Tensor logProbs, Tensor gradient, int rows);

    /**
     * Weighted forward KL(teacher || student), or a blend with total variation, over the teacher's top k tokens and one bucket for the
     * rest, and in place of the student's logits its gradient. With p the teacher's and q the student's probabilities, N the named tokens
     * that the student has, tail the teacher's mass on all others and rest = sum of q outside N:
     * {@code KL = sum_N p log(p / q) + tail log(tail / rest)}, and the gradient by a logit is {@code (q - p) / T} in N and
     * {@code q (1 - tail / rest) / T} outside, times the row's weight. The teacher's masses must sum to 1. A rest under 1e-9 counts as
     * 1e-9. Rows with weight 0 become zeros with loss 0; nothing else of them is read.
     *
     * <p>The blend is {@code (1 - v) KL + v TV} with {@code TV = (sum_N |q - p| + |rest - tail|) / 2}. With s half the sign of q - p
     * (outside N: of rest - tail; 0 for equals) and S = sum_N q s + rest s, TV's gradient by a logit is {@code q (s - S) / T}.
     *
     * @param logits [rows x vocab] student logits in, gradient of {@code sum_i weights[i] * loss_i} out
     * @param temperature applied to the student's logits (0 counts as 1)
     * @param ids I32 [rows x k] distinct token ids of the teacher
     * @param logProbs F32 [rows x k] teacher log-probabilities
     * @param tails F32 [1 x rows] log of the teacher's mass on all other tokens; -30 or less counts as none
     * @param idMap I32 [1 x teacher's vocab] the student's id of each of the teacher's tokens, no id twice; -1 for a token that the
     *     student lacks, whose mass joins the tail; null where both have the same vocabulary
     * @param tvWeight v, 0 to 1
     * @param weights F32 [1 x rows]
     * @param losses F32 [1 x rows] out: unweighted loss of each row
     */
    void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, float tvWeight,
                   Tensor weights, Tensor losses, int rows);

    /** {@link #klDistill(Tensor, float, Tensor, Tensor, Tensor, Tensor, float, Tensor, Tensor, int)} of KL alone. */
    default void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor idMap, Tensor weights,
                           Tensor losses, int rows) {
        klDistill(logits, temperature, ids, logProbs, tails, idMap, 0f, weights, losses, rows);
    }

    /** The same over one vocabulary. */
    default void klDistill(Tensor logits, float temperature, Tensor ids, Tensor logProbs, Tensor tails, Tensor weights, Tensor losses,
                           int rows) {
        klDistill(logits, temperature, ids, logProbs, tails, null, 0f, weights, losses, rows);
    }

    /**
     * Weighted forward KL(teacher || student) over the student's whole vocabulary, and in place of the student's logits its gradient:
     * {@code KL = sum_x p(x) (log p(x) - log q(x))}, gradient {@code (q(x) - p(x)) / T} times the row's weight, where q is the softmax
     * of the student's row at T and p that of the teacher's row at its own temperature, both over the student's vocabulary: teacher
     * mass on tokens that the student lacks is left out and the rest renormalised. Rows with weight 0, and rows whose teacher has no
     * mass on the student's tokens (all of them at -infinity), become zeros with loss 0.
     *
     * @param logits [rows x vocab] student logits in, gradient of {@code sum_i weights[i] * KL_i} out
     * @param temperature T, applied to the student's logits (0 counts as 1)
     * @param teacher [rows x teacher's vocab] logits or log-probabilities, F32 or (on a GPU) BF16
     * @param teacherTemperature applied to the teacher's row (0 counts as 1)
     * @param columns I32 [1 x vocab] column of the teacher's row that each of the student's tokens is; null where both have the same
     *     vocabulary
     * @param weights F32 [1 x rows]
     * @param losses F32 [1 x rows] out: unweighted KL of each row
     */
    void klDistillDense(Tensor logits, float temperature, Tensor teacher, float teacherTemperature, Tensor columns, Tensor weights,
                        Tensor losses, int rows);

    /** Sum of squares of all elements, in a fixed order; waits for the result. */
    double squaredNorm(Tensor x);

    /**
     * One AdamW step (Loshchilov and Hutter, 2019) over flat tensors of equal size, with bias correction for step {@code step >= 1}.
     * Gradients are multiplied by {@code gradientScale} first.
     *
     * @param first mean of gradients: F32, which may be {@link TensorArena#pinned}, or BF16 where the device stores it, rounded by chance
     *     so that small changes are not lost
     * @param second mean of their squares, of the same type and in the same kind of memory
     */
    void adamW(Tensor weights, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1, float beta2, float eps,
               float weightDecay, int step, float gradientScale);

    /**
     * {@link #adamW} that also writes the new weights to {@code copy}, as {@link #convert} does, in one pass where the device has one.
     *
     * @param copy BF16, of the same size
     */
    default void adamWConvert(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, float learningRate, float beta1,
                              float beta2, float eps, float weightDecay, int step, float gradientScale) {
        adamW(weights, gradients, first, second, learningRate, beta1, beta2, eps, weightDecay, step, gradientScale);
        convert(weights, copy, 1);
    }

    @Override
    void close();
}
