package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.TestModels;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Ops;
import org.respec.kernels.SamplingParams;

/** Prompts, engines and comparisons of rollouts that tests share. */
public final class Rollouts {
    /** Of every engine's noise. */
    public static final long SEED = 77;
    /** Responses run to their limit. */
    public static final StopRule NEVER = new StopRule(List.of(), List.of());

    private Rollouts() {
    }

    /** Random prompts of these lengths, with {@code samples} responses each, whose requests are numbered from {@code firstRequest} on. */
    public static List<PromptGroup> prompts(int vocab, long seed, int samples, long firstRequest, int... lengths) {
        List<PromptGroup> groups = new ArrayList<>();
        for (int[] prompt : TestModels.sequences(vocab, seed, lengths)) {
            groups.add(new PromptGroup(prompt, samples, firstRequest + (long) samples * groups.size()));
        }
        return groups;
    }

    /** @param setting {@code off}, a plan of the trained drafter's such as {@code 4x2x8}, or one of n-grams, {@code ngram:4x2x8} */
    public static RolloutEngine engine(Ops ops, Actor actor, Drafter drafter, RolloutLimits limits, SamplingParams sampling, StopRule stop,
                                       String setting) {
        boolean ngram = setting.startsWith("ngram:");
        SpeculationPlan plan = SpeculationPlan.parse(setting.substring(ngram ? "ngram:".length() : 0));
        Drafting.Kind kind = plan.isOff() ? Drafting.Kind.NONE : ngram ? Drafting.Kind.NGRAM : Drafting.Kind.EAGLE;
        return new RolloutEngine(ops, actor, drafter, limits, sampling, SEED, stop, new FixedPolicy(plan), Drafting.of(kind, 1f));
    }

    /** The same tokens and log-probabilities, bit for bit. */
    public static void assertSame(Rollout want, Rollout got, String what) {
        assertSame(want.trajectories(), got.trajectories(), what);
    }

    /** The same tokens and log-probabilities, bit for bit. */
    public static void assertSame(List<Trajectory> want, List<Trajectory> got, String what) {
        assertEquals(want.size(), got.size(), what);
        for (int i = 0; i < want.size(); i++) {
            assertEquals(want.get(i).requestId(), got.get(i).requestId(), what);
            assertArrayEquals(want.get(i).response(), got.get(i).response(), what + ": response " + i);
            assertArrayEquals(want.get(i).logProbs(), got.get(i).logProbs(), what + ": log-probabilities " + i);
        }
    }

    /** The same features and teacher data, bit for bit. */
    public static void assertSameCaptures(List<Trajectory> want, List<Trajectory> got, String what) {
        assertEquals(want.size(), got.size(), what);
        for (int i = 0; i < want.size(); i++) {
            CapturedRows a = want.get(i).capture();
            CapturedRows b = got.get(i).capture();
            assertEquals(a.rows(), b.rows(), what);
            assertEquals(-1, a.features().mismatch(b.features()), what + ": features of trajectory " + i);
            assertEquals(-1, a.teacherIds().mismatch(b.teacherIds()), what + ": teacher ids of trajectory " + i);
            assertEquals(-1, a.teacherLogProbs().mismatch(b.teacherLogProbs()), what + ": teacher log-probabilities of trajectory " + i);
            assertEquals(-1, a.teacherTails().mismatch(b.teacherTails()), what + ": teacher tails of trajectory " + i);
        }
    }

    /**
     * In two rollouts in a row, steps 20 to 20 + {@code steps} leave nothing on the heap. Until the JIT has compiled everything vectors
     * are boxed, so rollouts are repeated, up to a minute.
     *
     * @param prompts those of the i-th rollout, long enough that all these steps have work
     */
    static void assertSteadyStateAllocatesNothing(RolloutEngine engine, IntFunction<List<PromptGroup>> prompts, int steps, String what) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long deadline = System.nanoTime() + 60_000_000_000L;
        long allocated;
        int clean = 0;
        int round = 0;
        do {
            engine.begin(prompts.apply(round++));
            for (int i = 0; i < 20; i++) {
                assertTrue(engine.step());
            }
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < steps; i++) {
                assertTrue(engine.step());
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
            clean = allocated == 0 ? clean + 1 : 0;
            while (engine.step()) {
                // Ends the responses, so that the engine can begin again.
            }
            engine.end(1);
        } while (clean < 2 && System.nanoTime() < deadline);
        assertEquals(0, allocated, "bytes allocated by " + steps + " steps, " + what);
    }
}
