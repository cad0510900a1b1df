package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.model.Actor;
import org.respec.engine.model.Drafter;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.kernels.Ops;

/** Prompts that start together share passes, and every bit is as if each had started alone. */
class PrefillTest {
    private static final int PAGE = 4;
    /** Shorter than a page, about a page, and of several of the narrowest passes. */
    private static final int[] LENGTHS = {1, 2, PAGE - 1, PAGE, PAGE + 1, 47, 2 * PAGE + 1, 1, 29};
    private static final int MAX_PROMPT = 47;

    @RegisterExtension
    static final SmallRollouts SMALL = new SmallRollouts();

    private static Rollout run(String plan, int maxBatch, int maxRows, int kvPages) {
        RolloutLimits limits = new RolloutLimits(maxBatch, MAX_PROMPT, 40, PAGE, kvPages, 5, maxRows);
        try (RolloutEngine engine = SMALL.engine(limits, SmallRollouts.HOT, Rollouts.NEVER, plan)) {
            Rollout first = engine.generate(SMALL.prompts(2, LENGTHS));
            // What the first left behind must not matter.
            Rollout again = engine.generate(SMALL.prompts(2, LENGTHS));
            Rollouts.assertSame(first, again, "again");
            Rollouts.assertSameCaptures(first.trajectories(), again.trajectories(), "again");
            return first;
        }
    }

    /** Every width of passes splits prompts elsewhere. */
    @ParameterizedTest
    @CsvSource({"off,18,18,0", "off,18,19,0", "off,9,10,0", "off,18,1000,0", "off,9,11,60", "1x1x1,18,36,0", "2x1x2,3,9,0",
        "1x1x1,5,11,60"})
    void togetherAsOneByOne(String plan, int maxBatch, int maxRows, int kvPages) {
        Rollout alone = run("off", 1, 1000, 0);
        Rollout together = run(plan, maxBatch, maxRows, kvPages);
        String what = plan + " at batch " + maxBatch + " in passes of " + maxRows + " rows";
        Rollouts.assertSame(alone, together, what);
        Rollouts.assertSameCaptures(alone.trajectories(), together.trajectories(), what);
        if (kvPages > 0) {
            assertTrue(together.stats().preemptions() > 0, "so few pages are meant to preempt");
        }
    }

    /** A first step of 64 prompts: as many passes as their rows fill, and those of the step itself. */
    @ParameterizedTest
    @ValueSource(strings = {"off", "2x1x2"})
    void rowsFillPasses(String plan) {
        AtomicInteger passes = new AtomicInteger();
        Ops counting = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (proxy, method, arguments) -> {
            // Every pass, the drafter's too, begins with one.
            if (method.getName().equals("embedding")) {
                passes.incrementAndGet();
            }
            try {
                return method.invoke(SMALL.model().ops(), arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
        int[] lengths = IntStream.range(0, 64).map(i -> 1 + i % 17).toArray();
        List<PromptGroup> prompts = SMALL.prompts(1, lengths);
        int maxRows = 192;
        int prefix = IntStream.of(lengths).map(length -> length - 1).sum();
        int expected = Math.ceilDiv(prefix, maxRows) + 1;
        if (!plan.equals("off")) {
            // The drafter takes in prefixes without their last rows, then those, then grows a second level.
            int draftPrefix = IntStream.of(lengths).map(length -> Math.max(0, length - 2)).sum();
            expected += Math.ceilDiv(draftPrefix, maxRows) + 2;
        }
        ModelConfig config = SMALL.model().config();
        try (Actor actor = TestModels.actor(counting, config, 21);
             Drafter drafter = TestModels.drafter(counting, TestModels.drafterConfig(config), actor, 22);
             RolloutEngine engine = Rollouts.engine(counting, actor, drafter, new RolloutLimits(64, 17, 8, PAGE, 0, 5, maxRows),
                 SmallRollouts.HOT, Rollouts.NEVER, plan)) {
            engine.begin(prompts);
            passes.set(0);
            assertTrue(engine.step());
            assertEquals(expected, passes.get(), "passes over " + prefix + " rows of " + prompts.size() + " prompts, at most " + maxRows
                + " to a pass");
        }
    }
}
