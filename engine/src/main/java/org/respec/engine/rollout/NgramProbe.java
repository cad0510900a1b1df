package org.respec.engine.rollout;

import java.util.SplittableRandom;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;
import org.respec.kernels.TensorArena;
import org.respec.kernels.TreeBatch;

/** Measures what drafting from n-grams costs on the machine at hand: see {@link CostProbe}. */
public final class NgramProbe {
    private static final int LENGTH = 64;
    private static final int ROUNDS = 200;
    private static final long INDEX_BYTES = 1L << 20;
    private static final SpeculationPlan ONE = new SpeculationPlan(1, 1, 1);
    private static final SpeculationPlan TWO = new SpeculationPlan(2, TreeBatch.MAX_BRANCH, TreeBatch.MAX_BRANCH);

    private NgramProbe() {
    }

    /** Fills {@code profile} with draft passes of one row and of {@link TreeBatch#MAX_BRANCH} rows per request. */
    public static void measure(Ops ops, int vocab, int maxBatch, CostProfile profile) {
        SplittableRandom random = new SplittableRandom(1);
        int[] text = random.ints(LENGTH, 0, Math.min(vocab, 32)).toArray();
        GroupState group = new GroupState(0, new PromptGroup(java.util.Arrays.copyOf(text, 4), maxBatch, 0));
        Slot[] live = new Slot[maxBatch];
        try (TensorArena arena = ops.arena("n-gram probe");
             NgramSpeculator speculator = new NgramSpeculator(ops, TreeBatch.allocate(arena, maxBatch), maxBatch,
                 SamplingParams.temperature(1f), 1, 1f, INDEX_BYTES)) {
            HostView roots = new HostView(arena.mirror(DType.I32, 1, maxBatch));
            for (int i = 0; i < maxBatch; i++) {
                live[i] = new Slot(i, LENGTH);
                live[i].start(group, i, i);
            }
            for (int batch = 1; batch <= maxBatch; batch = batch == maxBatch ? maxBatch + 1 : Math.min(maxBatch, 8 * batch)) {
                double one = seconds(ops, speculator, live, batch, ONE, roots, text);
                double both = seconds(ops, speculator, live, batch, TWO, roots, text);
                profile.addDraft(batch, batch, one);
                profile.addDraft(batch, batch * TreeBatch.MAX_BRANCH, Math.max(one, both - one));
            }
        }
    }

    /** The least time of a draft, every request having one more token each time until its text is at an end. */
    private static double seconds(Ops ops, NgramSpeculator speculator, Slot[] live, int batch, SpeculationPlan plan, HostView roots,
                                  int[] text) {
        long least = Long.MAX_VALUE;
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < batch; i++) {
                Slot slot = live[i];
                if (slot.length == LENGTH) {
                    slot.start(slot.group, slot.sample, slot.admitted + live.length);
                }
                slot.tokens[slot.length] = text[(slot.length + i) % LENGTH];
                slot.length++;
            }
            long start = System.nanoTime();
            speculator.draft(live, batch, plan, roots);
            ops.synchronize();
            least = Math.min(least, System.nanoTime() - start);
        }
        return Math.max(least, 1) * 1e-9;
    }
}
