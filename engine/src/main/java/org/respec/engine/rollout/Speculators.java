package org.respec.engine.rollout;

import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.model.Drafter;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TreeBatch;

/** An engine's drafters and which of them drafts: any thread may ask for another one, which takes over between two steps. */
final class Speculators implements AutoCloseable {
    private final Ops ops;
    private final RolloutLimits limits;
    private final SamplingParams sampling;
    private final long seed;
    private final Drafting drafting;
    private final TreeBatch trees;
    private final TreeSpeculator eagle;
    private NgramSpeculator ngram;
    private Speculator current;
    private Drafting.Kind kind = Drafting.Kind.NONE;
    private volatile Drafting.Kind wanted;

    /**
     * @param drafter null for none
     * @param trees whose pools they fill
     * @param features of the actor, which a trained drafter reads; null only where {@code drafter} is
     */
    Speculators(Ops ops, Drafter drafter, RolloutLimits limits, SamplingParams sampling, long seed, Drafting drafting, TreeBatch trees,
                FeatureStore features) {
        this.ops = ops;
        this.limits = limits;
        this.sampling = sampling;
        this.seed = seed;
        this.drafting = drafting;
        this.trees = trees;
        this.eagle = drafter == null || drafting.kind() != Drafting.Kind.EAGLE ? null
            : new TreeSpeculator(ops, drafter, limits, trees, features, sampling, seed, drafting.sharpness(), limits.maxRows());
        want(drafting.kind());
        change(new Slot[0], 0, List.of());
    }

    /**
     * Has another kind draft after the next {@link #change}.
     *
     * @throws BadInput if there is no such drafter
     */
    void want(Drafting.Kind next) {
        if (next == Drafting.Kind.EAGLE && eagle == null) {
            throw new BadInput("model.drafter: to draft with a trained drafter the engine needs one; name its folder.");
        }
        wanted = next;
    }

    /** Who drafts after the next {@link #change}. */
    Drafting.Kind wanted() {
        return wanted;
    }

    /** Lets the wanted kind take over, if it is another; the one before then forgets the requests at hand. */
    boolean change(Slot[] live, int count, List<GroupState> groups) {
        Drafting.Kind next = wanted;
        if (next == kind) {
            return false;
        }
        for (int r = 0; r < count; r++) {
            close(live[r]);
        }
        for (int g = 0; g < groups.size(); g++) {
            closeGroup(groups.get(g));
        }
        if (next == Drafting.Kind.NGRAM && ngram == null) {
            ngram = new NgramSpeculator(ops, trees, limits.maxBatch(), sampling, seed, drafting.sharpness(), drafting.ngramBytes());
        }
        current = switch (next) {
            case NONE -> null;
            case EAGLE -> eagle;
            case NGRAM -> ngram;
        };
        kind = next;
        return true;
    }

    /** Who drafts; null for no one. */
    Speculator current() {
        return current;
    }

    /** A request leaves the batch. */
    void close(Slot slot) {
        if (current != null) {
            current.close(slot);
        }
    }

    /** A group is done. */
    void closeGroup(GroupState group) {
        if (current != null) {
            current.closeGroup(group);
        }
    }

    /** Gives the memory of cached keys and values back until {@link #acquire}. */
    void release() {
        if (eagle != null) {
            eagle.release();
        }
    }

    void acquire() {
        if (eagle != null) {
            eagle.acquire();
        }
    }

    @Override
    public void close() {
        if (eagle != null) {
            eagle.close();
        }
        if (ngram != null) {
            ngram.close();
        }
    }
}
