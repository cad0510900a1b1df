package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.bindings.nvml.GpuUtilization;

class UtilizationTest {
    private static final long MILLI = 1_000_000;

    /** A decode loop in virtual time: steps take what {@link SharedDevice} says they take under the load there is. */
    private static final class Machine {
        private static final int BATCH = 4;
        final AcceptanceTable acceptance = new AcceptanceTable(new double[][] {{0.7, 0.1}});
        final CostProfile profile = new CostProfile();
        final PlanSolver solver;
        final UtilizationProbe probe;
        long now;
        double load;
        boolean frozen;
        private long sampled;
        private final int paceMillis;
        /** Tokens expected over those gained: whole tokens come out right on average. */
        private double owed;

        Machine() {
            this(50);
        }

        /** @param paceMillis between samples */
        Machine(int paceMillis) {
            this.paceMillis = paceMillis;
            for (int batch : new int[] {1, 4, 16}) {
                for (int rows : new int[] {1, 2, 4, 8, 16, 32}) {
                    profile.addVerify(batch, batch * rows, 10e-3 + 0.15e-3 * batch * rows);
                    profile.addDraft(batch, batch * rows, 0.5e-3 + 0.005e-3 * batch * rows);
                }
            }
            AcceptanceTracker tracker = new AcceptanceTracker(4000, 0.7, 20);
            for (int i = 0; i < 4000; i++) {
                for (int depth = 1; depth <= 6; depth++) {
                    tracker.observe(depth, i % 10 < 7 ? 0 : i % 10 == 7 ? 1 : -1, 2);
                }
            }
            probe = new UtilizationProbe(() -> load, () -> now);
            solver = new PlanSolver(PlanSolver.candidates(6, 2, 16), tracker, profile, 0.05, 1 << 20, probe);
        }

        SpeculationPlan step() {
            if (!frozen && now - sampled >= paceMillis * MILLI) {
                sampled = now;
                probe.sample();
            }
            SpeculationPlan plan = solver.choose(BATCH, BATCH);
            double tokens = new ExpectedTokens().refresh(acceptance).of(plan);
            double verify = profile.verifySeconds(BATCH, plan);
            double draft = plan.isOff() ? 0 : profile.draftSeconds(BATCH, plan, (int) Math.ceil(BATCH * tokens));
            double slower = SharedDevice.seconds(profile.verifySeconds(BATCH, SpeculationPlan.OFF), verify + draft, plan.tokens(), load)
                / (verify + draft);
            owed += BATCH * tokens;
            int gained = (int) owed;
            owed -= gained;
            solver.observe(plan, BATCH, BATCH, gained, draft * slower, verify * slower);
            now += Math.round((draft + verify) * slower * 1e9);
            return plan;
        }

        /** The plan after so many steps; tries of what is not taken apart, it is the last one's. */
        SpeculationPlan steps(int count) {
            SpeculationPlan plan = null;
            for (int i = 0; i < count; i++) {
                plan = step();
            }
            return plan;
        }
    }

    /** With the pace of a host's ticks and that of a device, which sees a load once its first window with it has ended. */
    @ParameterizedTest
    @ValueSource(ints = {50, 130})
    void aCompetingLoadMakesTheDepthFallAndItsEndMakesItRise(int paceMillis) {
        Machine machine = new Machine(paceMillis);
        SpeculationPlan alone = machine.steps(200);
        assertTrue(alone.depth() >= 3, "alone: " + alone);
        for (int round = 0; round < 3; round++) {
            machine.load = 0.7;
            SpeculationPlan loaded = machine.steps(50);
            assertTrue(loaded.depth() < alone.depth() && loaded.tokens() < alone.tokens(), "load 0.7: " + alone + " to " + loaded);
            machine.load = 0;
            SpeculationPlan again = machine.steps(50);
            assertTrue(again.depth() > loaded.depth() && again.depth() >= alone.depth() - 1, "after it: " + loaded + " to " + again);
            machine.steps(100);
        }
        machine.load = 0.99;
        assertEquals(SpeculationPlan.OFF, machine.steps(50));
    }

    /** The decision of a quiet device does not hold until its end when a load jumps up, nor that for off when it is gone. */
    @Test
    void aJumpOfTheLoadEndsAHold() {
        Machine machine = new Machine();
        double[] load = {0};
        AcceptanceTracker tracker = new AcceptanceTracker(4000, 0.7, 20);
        PlanSolver solver = new PlanSolver(PlanSolver.candidates(6, 1, 6), tracker, machine.profile, 0.05, 1 << 20, () -> load[0]);
        for (int step = 0; step < 10; step++) {
            for (boolean loaded : new boolean[] {false, true}) {
                load[0] = loaded ? 0.99 : 0;
                assertEquals(loaded, solver.choose(Machine.BATCH, 0).isOff(), "at step " + step);
            }
        }
    }

    /** A probe that is stuck at a load is believed for a second, and then the loop goes on as if there were none. */
    @Test
    void aFrozenProbeIsForgotten() {
        Machine machine = new Machine();
        SpeculationPlan alone = machine.steps(200);
        machine.load = 0.9;
        SpeculationPlan loaded = machine.steps(50);
        assertTrue(loaded.depth() < alone.depth(), alone + " to " + loaded);
        machine.frozen = true;
        machine.load = 0;
        long since = machine.now;
        while (machine.now - since <= 1000 * MILLI) {
            machine.step();
        }
        assertEquals(0, machine.probe.getAsDouble());
        SpeculationPlan after = machine.steps(50);
        assertTrue(after.depth() >= alone.depth() - 1, "after a second: " + after);
    }

    /** What a load explains is not laid to the profile: when it ends, the profile is as good as it was. */
    @Test
    void loadIsNotLearntAsCost() {
        Machine machine = new Machine();
        machine.steps(200);
        double before = machine.solver.scores(Machine.BATCH).get(SpeculationPlan.parse("3x1x3"));
        machine.load = 0.5;
        machine.steps(1000);
        machine.load = 0;
        machine.steps(50);
        assertEquals(before, machine.solver.scores(Machine.BATCH).get(SpeculationPlan.parse("3x1x3")), 0.03 * before);
    }

    /** Others' time slices hit steps by chance: under a load, no plan looks better or worse beside another for it. */
    @Test
    void stepsUnderALoadAreNotCompared() {
        Machine machine = new Machine();
        machine.steps(200);
        SpeculationPlan plan = SpeculationPlan.parse("3x1x3");
        double before = share(machine, plan);
        machine.load = 0.5;
        machine.steps(64);
        for (int round = 0; round < 50; round++) {
            for (int step = 0; step < 8; step++) {
                boolean off = step < 4;
                machine.solver.choose(Machine.BATCH, Machine.BATCH);
                machine.solver.observe(off ? SpeculationPlan.OFF : plan, Machine.BATCH, Machine.BATCH, off ? 4 : 10, off ? 0 : 2e-3,
                    off ? 80e-3 : 12e-3);
            }
        }
        machine.load = 0;
        machine.steps(1000);
        assertEquals(before, share(machine, plan), 0.15 * before);
    }

    /** A plan's score over off's. */
    private static double share(Machine machine, SpeculationPlan plan) {
        var scores = machine.solver.scores(Machine.BATCH);
        return scores.get(plan) / scores.get(SpeculationPlan.OFF);
    }

    @Test
    void samplesAreAveragedAndAge() {
        long[] now = {0};
        double[] share = {Double.NaN};
        UtilizationProbe probe = new UtilizationProbe(() -> share[0], () -> now[0]);
        probe.sample();
        assertEquals(0, probe.getAsDouble(), "nothing is known");
        share[0] = 0.8;
        probe.sample();
        assertEquals(0.8, probe.getAsDouble());
        share[0] = 0;
        now[0] = 100 * MILLI;
        probe.sample();
        assertEquals(0.8 / Math.E, probe.getAsDouble(), 1e-12);
        share[0] = 7;
        now[0] = 10_000 * MILLI;
        probe.sample();
        assertEquals(1, probe.getAsDouble(), 1e-12);
        share[0] = Double.NaN;
        now[0] += 1000 * MILLI;
        probe.sample();
        assertEquals(1, probe.getAsDouble(), 1e-12);
        now[0]++;
        assertEquals(0, probe.getAsDouble(), "older than a second");
    }

    @TempDir
    private Path proc;

    private void stat(long user, long idle, long steal, long own) throws IOException {
        Files.writeString(proc.resolve("stat"), "cpu  " + user + " 0 0 " + idle + " 0 0 0 " + steal + " 0 0\ncpu0 1 2 3\n");
        Files.createDirectories(proc.resolve("self"));
        Files.writeString(proc.resolve("self/stat"), line(1, "java) (x", own - own / 3, own / 3));
    }

    private void thread(int id, String name, long user, long system) throws IOException {
        Path folder = Files.createDirectories(proc.resolve("self/task/" + id));
        Files.writeString(folder.resolve("comm"), name + "\n");
        Files.writeString(folder.resolve("stat"), line(id, name, user, system));
    }

    private static String line(int id, String name, long user, long system) {
        return id + " (" + name + ") R 1 1 1 0 -1 0 0 0 0 0 " + user + " " + system + " 0 0 20 0 9 0 1\n";
    }

    /** Ticks are of 10 ms: of two processors in 200 ms, 40. */
    @Test
    void theHostsLoadIsThatOfOthers() throws IOException {
        HostLoad load = new HostLoad(proc);
        stat(1000, 1000, 0, 500);
        assertTrue(Double.isNaN(load.getAsDouble()));
        assertTrue(Double.isNaN(load.getAsDouble()), "no tick has passed");
        // 40 ticks: 20 are ours, 10 others', 10 idle.
        stat(1030, 1010, 0, 520);
        assertEquals(0.25, load.getAsDouble(), 1e-9);
        // Stolen time is others' as well.
        stat(1050, 1010, 20, 540);
        assertEquals((10 + 20) / 80.0, load.getAsDouble(), 1e-9);
        // The oldest of the last four readings is what counts.
        stat(1090, 1010, 20, 560);
        assertEquals((10 + 20 + 20) / 120.0, load.getAsDouble(), 1e-9);
        stat(1130, 1010, 20, 600);
        assertEquals((10 + 20 + 20) / 160.0, load.getAsDouble(), 1e-9);
        stat(1130, 1410, 20, 600);
        assertEquals((20 + 20) / 520.0, load.getAsDouble(), 1e-9);
        // Too little to be told from rounding.
        stat(1131, 1900, 20, 600);
        assertEquals(0, load.getAsDouble());
    }

    @Test
    void theLearnerIsOneOfTheOthers() throws IOException {
        HostLoad load = new HostLoad(proc);
        stat(1000, 1000, 0, 0);
        thread(7, "main", 0, 0);
        thread(8, "respec-drafter", 0, 0);
        load.getAsDouble();
        // 40 ticks, of which 30 are ours, of which 15 are the learner's.
        stat(1030, 1010, 0, 30);
        thread(7, "main", 10, 5);
        thread(8, "respec-drafter", 10, 5);
        assertEquals(15 / 40.0, load.getAsDouble(), 1e-9);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8 9 10\n", "cpu  a b c d e f g h i j\n"})
    void aHostThatDoesNotSayIsAnError(String stat) throws IOException {
        Files.writeString(proc.resolve("stat"), stat);
        assertThrows(UncheckedIOException.class, () -> new HostLoad(proc).getAsDouble());
        assertThrows(UncheckedIOException.class, () -> new HostLoad(proc.resolve("none")).getAsDouble());
    }

    /** What the device showed when it was least busy is our own; it is learnt for each size of the batch. */
    @Test
    void aDevicesLoadIsWhatIsOverOurOwn() {
        long[] now = {0};
        double[] activity = {0, 0};
        DecodeWork work = new DecodeWork();
        DeviceLoad load = new DeviceLoad(() -> new GpuUtilization(activity[0], Double.NaN, activity[1], "test"), work, () -> now[0]);
        List<Double> seen = new ArrayList<>();
        double[][] scenes = {
            // Batch, share of time decoding, SM and DRAM activity, expected.
            {4, 1, 0.5, 0.6, 0}, {4, 1, 0.5, 0.6, 0}, {4, 1, 0.5, 0.9, 0.3}, {4, 1, 1, 0.9, 0.4}, {4, 0.5, 0.2, 0.3, 0},
            {4, 0.5, 0.5, 0.3, 0.2}, {64, 1, 0.9, 0.3, 0}, {64, 1, 1, 0.3, 0.1}, {4, 0, 0.7, 0.1, 0.7}, {4, 1, Double.NaN, 0.8, 0.2},
            {4, 1, 0.3, Double.NaN, 0}};
        for (double[] scene : scenes) {
            now[0] += 100 * MILLI;
            work.add((int) scene[0], Math.round(scene[1] * 100 * MILLI));
            activity[0] = scene[2];
            activity[1] = scene[3];
            double share = load.getAsDouble();
            seen.add(share);
            assertEquals(scene[4], share, 0.01, "scene " + seen.size() + " of " + seen);
        }
        activity[0] = activity[1] = Double.NaN;
        assertTrue(Double.isNaN(load.getAsDouble()));
    }

    /** A device in virtual time, whose readings and decoding a test sets. */
    private static final class Device {
        final DecodeWork work = new DecodeWork();
        long now;
        double activity;
        final DeviceLoad load = new DeviceLoad(() -> new GpuUtilization(activity, Double.NaN, Double.NaN, "test"), work, () -> now);

        /** The share after {@code millis}, of which decoding had {@code busy}. */
        double after(int millis, int busy, double seen) {
            now += millis * MILLI;
            work.add(4, busy * MILLI);
            activity = seen;
            return load.getAsDouble();
        }
    }

    /** A reading that does not count moves no window: the next one is about the time since the last that did. */
    @Test
    void readingsThatDoNotCountLeaveTheWindowOpen() {
        Device device = new Device();
        assertEquals(0, device.after(200, 200, 0.6), 1e-9);
        assertTrue(Double.isNaN(device.after(50, 50, Double.NaN)), "too soon");
        // Over both together decoding had half of the time; over the last 50 ms it had none, which would be all others'.
        assertEquals(0, device.after(50, 0, 0.3), 1e-9);
        assertEquals(0.2, device.after(200, 100, 0.5), 0.01);
    }

    /** Counters that stand still while decoding works are no level of its own: what it uses itself stays its own. */
    @Test
    void noActivityWhileDecodingIsNotBelieved() {
        Device device = new Device();
        assertEquals(0, device.after(130, 130, 0.6), 1e-9);
        assertTrue(Double.isNaN(device.after(130, 130, 0)));
        assertEquals(0, device.after(130, 130, 0.6), 1e-9);
        assertTrue(Double.isNaN(device.after(130, 40, 0)));
        assertEquals(0, device.after(130, 90, 0.3), 1e-9);
        assertEquals(0.3, device.after(130, 130, 0.9), 0.01);
        // A device at rest is one while decoding does little.
        assertEquals(0, device.after(130, 10, 0), 1e-9);
        assertEquals(0.6, device.after(130, 0, 0.6), 1e-9);
    }

    /** Steps that become longer wake the watch on a host; a device's counters need their time whatever happens. */
    @Test
    void aDeviceIsNotAskedAgainTooSoon() throws InterruptedException {
        AtomicInteger samples = new AtomicInteger();
        AtomicLong last = new AtomicLong();
        AtomicLong least = new AtomicLong(Long.MAX_VALUE);
        try (UtilizationProbe probe = UtilizationProbe.watching(() -> {
            long now = System.nanoTime();
            if (samples.getAndIncrement() > 0) {
                least.accumulateAndGet(now - last.get(), Math::min);
            }
            last.set(now);
            return 0;
        }, () -> { }, UtilizationProbe.Pace.DEVICE, 60_000)) {
            for (int step = 0; step < 10_000 && samples.get() < 5; step++) {
                probe.decoded(SpeculationPlan.OFF, 1, step % 20 < 10 ? 1000 : 1_000_000);
                Thread.sleep(1);
            }
        }
        assertTrue(samples.get() >= 5, samples + " samples");
        assertTrue(least.get() >= 120 * MILLI, least + " ns apart");
    }

    /** A probe of this host, on its own thread: it samples, a share is a share, and it ends when it is closed. */
    @Test
    void thisHostIsWatched() throws InterruptedException {
        try (UtilizationProbe probe = UtilizationProbe.start("")) {
            Thread thread = Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().equals("respec-load")).findFirst()
                .orElseThrow();
            assertTrue(thread.isDaemon());
            Thread.sleep(300);
            assertTrue(probe.getAsDouble() >= 0 && probe.getAsDouble() <= 1);
            probe.close();
            thread.join(10_000);
            assertTrue(!thread.isAlive(), "it ends");
        }
    }

    @Test
    void whereNothingDecodesNobodyAsks() throws InterruptedException {
        AtomicInteger samples = new AtomicInteger();
        try (UtilizationProbe probe = UtilizationProbe.watching(() -> {
            samples.incrementAndGet();
            return 0;
        }, () -> { }, UtilizationProbe.Pace.TICKS, 60_000)) {
            await(() -> samples.get() > 0);
            Thread.sleep(600);
            assertEquals(1, samples.get());
            probe.decoded(SpeculationPlan.OFF, 1, 1000);
            await(() -> samples.get() > 1);
        }
    }

    /** What it watches is closed when closing returns; a thread that hangs is not waited for for ever. */
    @Test
    void closingWaitsForTheThread() {
        AtomicBoolean sampled = new AtomicBoolean();
        AtomicBoolean given = new AtomicBoolean();
        UtilizationProbe probe = UtilizationProbe.watching(() -> {
            sampled.set(true);
            while (!Thread.currentThread().isInterrupted()) {
                Thread.onSpinWait();
            }
            return 0;
        }, () -> given.set(true), UtilizationProbe.Pace.TICKS, 60_000);
        while (!sampled.get()) {
            Thread.onSpinWait();
        }
        probe.close();
        assertTrue(given.get());

        AtomicBoolean end = new AtomicBoolean();
        sampled.set(false);
        UtilizationProbe hanging = UtilizationProbe.watching(() -> {
            sampled.set(true);
            while (!end.get()) {
                Thread.onSpinWait();
            }
            return 0;
        }, () -> given.set(false), UtilizationProbe.Pace.TICKS, 1);
        while (!sampled.get()) {
            Thread.onSpinWait();
        }
        hanging.close();
        assertTrue(given.get(), "it hangs still");
        end.set(true);
    }

    private static void await(BooleanSupplier condition) throws InterruptedException {
        for (int i = 0; i < 10_000 && !condition.getAsBoolean(); i++) {
            Thread.sleep(1);
        }
        assertTrue(condition.getAsBoolean());
    }

    /** A GPU that NVML does not know here: said once, and nothing is held against speculation. */
    @Test
    void withoutNvmlNothingIsKnown() {
        try (UtilizationProbe probe = UtilizationProbe.start("GPU-none")) {
            assertEquals(0, probe.getAsDouble());
        }
    }
}
