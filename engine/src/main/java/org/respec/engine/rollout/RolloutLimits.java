package org.respec.engine.rollout;

import org.respec.engine.BadInput;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.TreeBatch;

/**
 * Sizes a rollout engine is built for.
 *
 * @param maxBatch most live requests
 * @param maxPrompt longest prompt in tokens
 * @param maxTokens longest response in tokens
 * @param pageSize tokens per KV page
 * @param kvPages pages of the actor's cache; 0 for as many as {@code maxBatch} requests of full length can use
 * @param captureTopK teacher tokens captured per row; 0 captures nothing
 * @param maxRows rows of the widest verify pass; an engine makes it wider where its policy asks for that: {@link PlanPolicy#rowsEach}
 * @param captureRows rows that whoever is taught has room for: of a rollout's captures those are kept that are still there once all
 *     were taken in, in the order of requests
 */
public record RolloutLimits(int maxBatch, int maxPrompt, int maxTokens, int pageSize, int kvPages, int captureTopK, int maxRows,
                            int captureRows) {
    public RolloutLimits {
        if (maxBatch < 1 || maxPrompt < 1 || maxTokens < 1 || pageSize < 1 || kvPages < 0 || captureTopK < 0 || maxRows < maxBatch
            || captureRows < 1) {
            throw new BadInput("rollout limits: batch " + maxBatch + ", prompt " + maxPrompt + ", tokens " + maxTokens + ", page size "
                + pageSize + ", pages " + kvPages + ", top-k " + captureTopK + ", rows " + maxRows
                + ": sizes must be at least 1, pages and top-k at least 0, rows at least the batch.");
        }
    }

    /** All that is captured is kept. */
    public RolloutLimits(int maxBatch, int maxPrompt, int maxTokens, int pageSize, int kvPages, int captureTopK, int maxRows) {
        this(maxBatch, maxPrompt, maxTokens, pageSize, kvPages, captureTopK, maxRows, Integer.MAX_VALUE);
    }

    /** With rows for a full batch of small trees: one of the largest would be wasteful to plan for. */
    public RolloutLimits(int maxBatch, int maxPrompt, int maxTokens, int pageSize, int kvPages, int captureTopK) {
        this(maxBatch, maxPrompt, maxTokens, pageSize, kvPages, captureTopK,
            Math.max(Math.multiplyExact(maxBatch, 4), 4 * TreeBatch.MAX_NODES));
    }

    /** Most places of one sequence, in flight ones included. */
    public int perSequence() {
        return Math.addExact(maxLength(), TreeBatch.MAX_NODES);
    }

    private int pagesEach() {
        return Math.ceilDiv(perSequence(), pageSize) + 1;
    }

    /** Pages that one request of full length needs. */
    public int leastPages() {
        return pagesEach() + 1;
    }

    /**
     * Pages of the actor's cache: as many as were asked for, or as a full batch can use.
     *
     * @throws BadInput if that is more than can be numbered
     */
    public int pages() {
        return kvPages > 0 ? kvPages : numbered((long) maxBatch * (pagesEach() + maxPrompt / pageSize + 1));
    }

    /**
     * Pages of the drafter's cache: every live request and every open group's prefix fit at full length. It has one layer, so this is
     * cheap and the cache can never be what a step waits for.
     *
     * @throws BadInput if that is more than can be numbered
     */
    int draftPages() {
        return numbered(2L * maxBatch * pagesEach());
    }

    private int numbered(long pages) {
        if (pages > Integer.MAX_VALUE) {
            throw tooMany(pages, null);
        }
        return (int) pages;
    }

    /**
     * How keys and values of so many pages lie in a cache.
     *
     * @throws BadInput if their tokens, or the pages of all layers, are more than can be numbered
     */
    KvLayout layout(DType dtype, int layers, AttentionShape shape, int pages) {
        try {
            return new KvLayout(dtype, layers, shape.kvHeads(), shape.headDim(), pageSize, pages);
        } catch (ArithmeticException e) {
            throw tooMany(pages, e);
        }
    }

    private BadInput tooMany(long pages, ArithmeticException cause) {
        return new BadInput("rollout limits: a cache of " + pages + " pages of " + pageSize + " tokens, for a batch of " + maxBatch
            + ", is larger than any that can be addressed; lower rollout.max_batch, rollout.max_tokens or rollout.kv_pages.", cause);
    }

    /** The same with so many pages. */
    public RolloutLimits withPages(int pages) {
        return new RolloutLimits(maxBatch, maxPrompt, maxTokens, pageSize, pages, captureTopK, maxRows, captureRows);
    }

    /** The same without captures. */
    public RolloutLimits withoutCaptures() {
        return new RolloutLimits(maxBatch, maxPrompt, maxTokens, pageSize, kvPages, 0, maxRows, captureRows);
    }

    /** The same with passes of at least so many rows for each request of a full batch. */
    public RolloutLimits withRowsEach(int rows) {
        return new RolloutLimits(maxBatch, maxPrompt, maxTokens, pageSize, kvPages, captureTopK,
            Math.max(maxRows, Math.multiplyExact(maxBatch, rows)), captureRows);
    }

    /** The same with captures for a buffer of so many rows. */
    public RolloutLimits withCaptureRows(int rows) {
        return new RolloutLimits(maxBatch, maxPrompt, maxTokens, pageSize, kvPages, captureTopK, maxRows, rows);
    }

    /** Longest prompt with response. */
    public int maxLength() {
        return Math.addExact(maxPrompt, maxTokens);
    }
}
