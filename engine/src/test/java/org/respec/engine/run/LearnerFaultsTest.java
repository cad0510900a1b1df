package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;
import org.respec.engine.distill.OnlineDrafter;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;

/** The drafter's learning beside the run, undisturbed and disturbed: neither changes a trajectory or an actor weight, or stops a run. */
class LearnerFaultsTest {
    private static final int ITERATIONS = 4;
    /** Two steps of three unrolled ones make an update. */
    private static final int CALLS_PER_UPDATE = 6;

    @TempDir
    static Path folder;
    private static Path config;
    private static ObjectNode reference;

    @BeforeAll
    static void runReference() throws IOException {
        config = RunFixture.write(folder);
        reference = run("reference", OnlineDrafter.Wiring.plain());
    }

    private static ObjectNode run(String name, OnlineDrafter.Wiring wiring, String... overrides) {
        return run(name, false, wiring, overrides);
    }

    private static ObjectNode run(String name, boolean resume, OnlineDrafter.Wiring wiring, String... overrides) {
        List<String> all = new ArrayList<>(List.of("run.dir=" + folder.resolve(name), "train.iterations=" + ITERATIONS));
        all.addAll(List.of(overrides));
        return RunFixture.run(config, resume, wiring, all.toArray(String[]::new));
    }

    private static String drafter(JsonNode summary) {
        return summary.at("/drafter/weights_sha256").textValue();
    }

    private static void requireSameRun(ObjectNode summary) {
        assertEquals(reference.at("/rollout/trajectory_sha256"), summary.at("/rollout/trajectory_sha256"));
        assertEquals(reference.at("/actor/weights_sha256"), summary.at("/actor/weights_sha256"));
        assertEquals(reference.at("/eval"), summary.at("/eval"));
        assertEquals(ITERATIONS, summary.path("iterations").intValue());
    }

    /** One alarm, in summary and metrics, that says what was expected of it. */
    private static void requireAlarm(String name, ObjectNode summary, int iteration, String... words) throws IOException {
        assertEquals(1, summary.path("alarms").size(), summary.path("alarms").toString());
        String alarm = summary.at("/alarms/0").textValue();
        assertTrue(alarm.startsWith("iteration " + iteration + ": "), alarm);
        for (String word : words) {
            assertTrue(alarm.contains(word), alarm);
        }
        for (String line : Files.readAllLines(folder.resolve(name).resolve("metrics.jsonl"))) {
            JsonNode metrics = new JsonMapper().readTree(line);
            JsonNode wanted = metrics.path("iteration").intValue() == iteration ? summary.path("alarms") : null;
            assertEquals(wanted, metrics.get("alarms"));
        }
    }

    /** The learner's operators, with something done after each call of one of them; numbers count from 1. */
    static UnaryOperator<Ops> after(String operator, CallListener listener) {
        AtomicInteger calls = new AtomicInteger();
        return ops -> (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (proxy, method, args) -> {
            Object result;
            try {
                result = method.invoke(ops, args);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
            if (method.getName().equals(operator)) {
                listener.called(calls.incrementAndGet(), args);
            }
            return result;
        });
    }

    interface CallListener {
        void called(int number, Object[] args) throws Exception;
    }

    static OnlineDrafter.Wiring operators(UnaryOperator<Ops> operators) {
        return new OnlineDrafter.Wiring(operators, bytes -> { });
    }

    private static OnlineDrafter.Wiring transit(Consumer<MemorySegment> transit) {
        return new OnlineDrafter.Wiring(UnaryOperator.identity(), transit);
    }

    // ------------------------------------------------------------------------------------------------------ undisturbed

    static Stream<List<String>> settings() {
        return Stream.of(List.of("distill.overlap=false"), List.of("distill.threads=3"), List.of("distill.overlap=false", "run.threads=1"),
            List.of("distill.lag=1"), List.of("distill.lag=1", "distill.overlap=false"), List.of("distill.interval=2"),
            List.of("distill.share=0.4", "distill.steps_per_update=0"), List.of("distill.tv_weight=0.5", "distill.warmup_steps=3"),
            List.of("distill.health_steps=1"));
    }

    @ParameterizedTest
    @MethodSource("settings")
    void trajectoriesAndWeightsDoNotDependOn(List<String> overrides) {
        ObjectNode summary = run("variant", OnlineDrafter.Wiring.plain(), overrides.toArray(String[]::new));
        requireSameRun(summary);
        boolean sameTeaching = overrides.stream().allMatch(o -> o.matches("(distill.overlap|distill.threads|run.threads|distill.lag).*"));
        if (sameTeaching) {
            // A lag changes when weights are used, not what they are.
            assertEquals(drafter(reference), drafter(summary), "drafter with " + overrides);
        } else if (!overrides.contains("distill.health_steps=1")) {
            assertNotEquals(drafter(reference), drafter(summary), "drafter with " + overrides);
        }
    }

    @Test
    void nothingIsAlarming() throws IOException {
        assertEquals(0, reference.path("alarms").size());
        assertEquals(ITERATIONS, reference.at("/drafter/version").intValue());
        for (String line : Files.readAllLines(folder.resolve("reference/metrics.jsonl"))) {
            JsonNode seconds = new JsonMapper().readTree(line).path("seconds");
            assertTrue(seconds.path("drafter").doubleValue() > 0, line);
            assertTrue(seconds.path("drafter_exposed").doubleValue() > 0, line);
        }
    }

    @ParameterizedTest
    @CsvSource({"0,1", "0,2", "1,1", "1,3"})
    void aResumedRunHasTheSameBits(int lag, int stop) throws IOException {
        String whole = "whole-" + lag + "-" + stop;
        String parts = "parts-" + lag + "-" + stop;
        // A resumed run has yet to learn how long responses are and what the drafter's chances are worth, so other candidates are chosen;
        // where all there are are verified, each request gains what the drafter's weights give it.
        String all = "speculation.plan=2x2x6";
        ObjectNode wanted = run(whole, OnlineDrafter.Wiring.plain(), "distill.lag=" + lag, all);
        run(parts, OnlineDrafter.Wiring.plain(), "distill.lag=" + lag, all, "train.iterations=" + stop);
        ObjectNode summary = run(parts, true, OnlineDrafter.Wiring.plain(), "distill.lag=" + lag, all);
        requireSameRun(summary);
        assertEquals(drafter(wanted), drafter(summary));
        assertEquals(wanted.at("/rollout/accept_length"), summary.at("/rollout/accept_length"), "what the rollouts drafted with");
        List<String> one = Files.readAllLines(folder.resolve(whole).resolve("metrics.jsonl"));
        List<String> two = Files.readAllLines(folder.resolve(parts).resolve("metrics.jsonl"));
        for (int i = 0; i < ITERATIONS; i++) {
            JsonNode a = new JsonMapper().readTree(one.get(i));
            JsonNode b = new JsonMapper().readTree(two.get(i));
            for (String field : List.of("reward", "accept_length", "distill_loss", "draft_grad_norm", "drafter_version")) {
                assertEquals(a.get(field), b.get(field), field + " of iteration " + (i + 1));
            }
        }
    }

    @Test
    void stepsTooSmallForAResponseAreRefused() {
        BadInput e = assertThrows(BadInput.class, () -> run("small", OnlineDrafter.Wiring.plain(), "distill.batch_tokens=20"));
        assertTrue(e.getMessage().contains("distill.batch_tokens: 20 is less than a trajectory of"), e.getMessage());
    }

    // -------------------------------------------------------------------------------------------------------- disturbed

    /** What kills a learner's thread: an exception or an error, in its own thread or in turn. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aKilledLearnerIsSurvived(boolean overlap) throws IOException {
        String name = "killed-" + overlap;
        ObjectNode summary = run(name, operators(after("klDistill", (number, args) -> {
            if (number == CALLS_PER_UPDATE + 4) {
                throw new OutOfMemoryError("as a test");
            }
        })), "distill.overlap=" + overlap);
        requireSameRun(summary);
        requireAlarm(name, summary, 2, "failed", "as a test", "version 1 stays in use");
        assertEquals(ITERATIONS - 1, summary.at("/drafter/version").intValue());
        assertNotEquals(drafter(reference), drafter(summary));
    }

    @Test
    void lossesThatAreNotFiniteAreDropped() throws IOException {
        ObjectNode summary = run("nan", operators(after("klDistill", (number, args) -> {
            if (number == 2 * CALLS_PER_UPDATE + 5) {
                Tensor gradient = (Tensor) args[0];
                gradient.host().setAtIndex(ValueLayout.JAVA_FLOAT, 1, Float.NaN);
            }
        })));
        requireSameRun(summary);
        requireAlarm("nan", summary, 3, "not finite", "version 2 stays in use");
        assertEquals(ITERATIONS - 1, summary.at("/drafter/version").intValue());
    }

    /** The learner's own copy is whole, so the version after the corrupted one is what it would have been anyway. */
    @Test
    void corruptedWeightsAreNotTakenOver() throws IOException {
        AtomicInteger versions = new AtomicInteger();
        ObjectNode summary = run("corrupt", transit(bytes -> {
            if (versions.incrementAndGet() == 3) {
                bytes.set(ValueLayout.JAVA_BYTE, 1001, (byte) (bytes.get(ValueLayout.JAVA_BYTE, 1001) ^ 4));
            }
        }));
        requireSameRun(summary);
        requireAlarm("corrupt", summary, 3, "checksum", "version 2 stays in use");
        assertEquals(ITERATIONS, summary.at("/drafter/version").intValue());
        assertEquals(drafter(reference), drafter(summary));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aLearnerThatNeverEndsIsLeftBehind(int lag) throws IOException {
        CountDownLatch end = new CountDownLatch(1);
        String name = "hung-" + lag;
        ObjectNode summary = run(name, operators(after("klDistill", (number, args) -> {
            if (number == CALLS_PER_UPDATE + 1) {
                boolean ended = false;
                while (!ended) {
                    try {
                        end.await();
                        ended = true;
                    } catch (InterruptedException e) {
                        // Deaf on purpose.
                    }
                }
                throw new IllegalStateException("the test is over");
            }
        })), "distill.timeout_seconds=1", "distill.lag=" + lag);
        requireSameRun(summary);
        assertEquals(1, summary.path("alarms").size(), summary.path("alarms").toString());
        assertTrue(summary.at("/alarms/0").textValue().contains("left behind, and version 1 stays in use"));
        assertEquals(1, summary.at("/drafter/version").intValue());
        // Its checkpoint is as good as any other: a learner begins anew from the drafter in use.
        ObjectNode resumed = run(name, true, OnlineDrafter.Wiring.plain(), "train.iterations=" + (ITERATIONS + 1), "distill.lag=" + lag);
        assertEquals(ITERATIONS + 1, resumed.path("iterations").intValue());
        assertEquals(2, resumed.at("/drafter/version").intValue());
        end.countDown();
    }

    /** A drafter that has learnt nonsense, in good numbers: the rollout goes back to the one before. */
    @Test
    void aDrafterWithoutGainGivesWayToTheOneBefore() {
        ObjectNode summary = run("nonsense", operators(after("adamW", (number, args) -> {
            if (number == 2) {
                MemorySegment weights = ((Tensor) args[0]).host();
                for (long i = 0; i < weights.byteSize() / 4; i++) {
                    weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, -1000 * weights.getAtIndex(ValueLayout.JAVA_FLOAT, i));
                }
            }
        })), "distill.interval=2", "distill.health_steps=12", "train.iterations=4");
        requireSameRun(summary);
        assertFalse(summary.path("alarms").isEmpty());
        String alarm = summary.at("/alarms/0").textValue();
        assertTrue(alarm.contains("drafter version 1 gained") && alarm.contains("version 0 drafts again"), alarm);
    }
}
