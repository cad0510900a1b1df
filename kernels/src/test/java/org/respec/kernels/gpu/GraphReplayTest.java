package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorDriver.Call;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TensorArena;

/** Work that repeats runs as it is, is recorded, and is replayed, on what its tensors hold at the time. */
class GraphReplayTest {
    private EmulatorDriver driver;
    private GpuContext gpu;
    private GpuOps ops;
    private TensorArena arena;
    private HostMirror x;
    private HostMirror sum;
    private RowBatch batch;
    private KvStore kv;
    private int runs;
    /** What work adds to {@link #sum}. */
    private final Runnable work = () -> {
        runs++;
        ops.add(x.device(), sum.device(), 1);
    };

    @BeforeEach
    void open() {
        try {
            driver = EmulatorDriver.open(EmulatorOptions.defaults());
        } catch (GpuException e) {
            abort(e.getMessage());
        }
        ops = new GpuOps(driver);
        gpu = ops.context();
        arena = ops.arena("test");
        x = arena.mirror(DType.F32, 1, 4);
        sum = arena.mirror(DType.F32, 1, 4);
        batch = RowBatch.allocate(arena, 8, 4);
        KvLayout layout = new KvLayout(DType.F32, 1, 1, 8, 16, 2);
        kv = KvStore.allocate(arena, layout, arena.mirror(DType.I32, 4, 256));
    }

    @AfterEach
    void close() {
        if (ops != null) {
            arena.close();
            ops.close();
        }
    }

    private void add(GraphReplay replay, int key, int requests, int rows, float value) {
        x.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, 2, value);
        ops.push(x, 4);
        replay.run(key, batch, kv, requests, rows, work);
    }

    private float total() {
        ops.pull(sum, 4);
        return sum.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 2);
    }

    @Test
    void theThirdTimeIsRecordedAndReplayedFromThenOn() {
        try (GraphReplay replay = new GraphReplay(gpu, "test")) {
            add(replay, 5, 2, 3, 1);
            add(replay, 5, 2, 3, 10);
            assertEquals(0, replay.graphs(), "the first times run as they are");
            add(replay, 5, 2, 3, 100);
            assertEquals(1, replay.graphs());
            long launches = driver.calls(Call.LAUNCH);
            add(replay, 5, 2, 3, 1000);
            add(replay, 5, 2, 3, 10_000);
            assertEquals(3, runs, "recorded work is not run again");
            assertEquals(launches, driver.calls(Call.LAUNCH));
            assertEquals(3, driver.calls(Call.GRAPH));
            assertEquals(11_111, total());
        }
    }

    @Test
    void eachKeyShapeAndContextHasItsGraph() {
        try (GraphReplay replay = new GraphReplay(gpu, "test")) {
            for (int time = 0; time < 3; time++) {
                add(replay, 1, 2, 3, 1);
                add(replay, 2, 2, 3, 1);
                add(replay, 1, 3, 3, 1);
                add(replay, 1, 2, 4, 1);
            }
            assertEquals(4, replay.graphs());
            // Up to 448 committed tokens, and 64 in flight, make one chunk of columns.
            batch.committed().host().host().setAtIndex(ValueLayout.JAVA_INT, 1, 448);
            add(replay, 1, 2, 3, 1);
            assertEquals(12, runs);
            batch.committed().host().host().setAtIndex(ValueLayout.JAVA_INT, 1, 449);
            add(replay, 1, 2, 3, 1);
            assertEquals(13, runs);
            add(replay, 1, 2, 3, 1);
            add(replay, 1, 2, 3, 1);
            assertEquals(5, replay.graphs());
            // Only live requests count.
            add(replay, 1, 1, 3, 1);
            batch.committed().host().host().setAtIndex(ValueLayout.JAVA_INT, 1, 0);
            add(replay, 1, 1, 3, 1);
            add(replay, 1, 1, 3, 1);
            add(replay, 1, 1, 3, 1);
            assertEquals(6, replay.graphs());
            assertEquals(20, total());
        }
        assertEquals(0, driver.calls(Call.GRAPH) - 8, "launches of graphs");
    }

    @Test
    void theGraphUsedLongestAgoGivesWay() {
        try (GraphReplay replay = new GraphReplay(gpu, gpu.graphs(), "test", 2)) {
            for (int time = 0; time < 3; time++) {
                add(replay, 1, 1, 1, 1);
            }
            for (int time = 0; time < 3; time++) {
                add(replay, 2, 1, 1, 1);
            }
            assertEquals(2, replay.graphs());
            add(replay, 1, 1, 1, 1);
            add(replay, 3, 1, 1, 1);
            assertEquals(1, replay.graphs(), "2 went");
            assertEquals(7, runs);
            add(replay, 1, 1, 1, 1);
            assertEquals(7, runs, "1 stayed");
            add(replay, 2, 1, 1, 1);
            assertEquals(8, runs, "2 is new");
            assertEquals(10, total());
        }
    }

    /** Work that copies from the host cannot be replayed: what was copied then would be copied for ever. */
    @Test
    void whatCannotBeRecordedRunsAsItIs() {
        Runnable pushes = () -> {
            runs++;
            ops.push(x, 4);
            ops.add(x.device(), sum.device(), 1);
        };
        try (GraphReplay replay = new GraphReplay(gpu, "test")) {
            for (int value = 1; value <= 4; value++) {
                x.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, 2, value);
                replay.run(0, batch, kv, 1, 1, pushes);
            }
            assertEquals(0, replay.graphs());
            assertEquals(10, total());
            // Four times as it is, once in vain.
            assertEquals(5, runs);
            for (int time = 0; time < 3; time++) {
                add(replay, 1, 1, 1, 1);
            }
            assertEquals(1, replay.graphs(), "other work is recorded as ever");
        }
    }

    @Test
    void badInputIsThrownAsWithoutGraphs() {
        Runnable bad = () -> ops.add(x.device(), sum.device(), 2);
        try (GraphReplay replay = new GraphReplay(gpu, "test")) {
            for (int time = 0; time < 3; time++) {
                assertThrows(IllegalArgumentException.class, () -> replay.run(0, batch, kv, 1, 1, bad));
            }
        }
        ops.useGraphs(false);
        runs = 0;
        try (var direct = ops.replay("test")) {
            for (int time = 0; time < 3; time++) {
                direct.run(0, batch, kv, 1, 1, work);
            }
        }
        assertEquals(3, runs, "without graphs everything runs as it is");
    }
}
