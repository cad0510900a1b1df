package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuOutOfMemory;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorDriver.Call;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.RowBatch;
import org.respec.kernels.TensorArena;

/** Graphs take no more of the device's memory than they may, and what runs is the same with them and without. */
class GraphMemoryTest {
    private static final long TOLL = 10 << 20;
    /** Enough runs of something else for a graph to be out of use. */
    private static final int AWAY = 70;

    private EmulatorDriver emulator;
    private GraphTollDriver toll;
    private GpuContext gpu;
    private GpuOps ops;
    private TensorArena arena;
    private HostMirror sum;
    private RowBatch batch;
    private KvStore kv;
    private int asked;
    private int runs;
    private Runnable more = () -> { };
    /** Adds 1 to {@link #sum}, in one kernel. */
    private Runnable work;

    @BeforeEach
    void open() {
        try {
            emulator = EmulatorDriver.open(EmulatorOptions.defaults());
        } catch (GpuException e) {
            abort(e.getMessage());
        }
        toll = new GraphTollDriver(emulator, TOLL);
        ops = new GpuOps(toll.driver());
        gpu = ops.context();
        arena = ops.arena("test");
        HostMirror one = arena.mirror(DType.F32, 1, 4);
        for (int i = 0; i < 4; i++) {
            one.host().host().setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
        }
        ops.push(one, 4);
        sum = arena.mirror(DType.F32, 1, 4);
        work = () -> {
            runs++;
            more.run();
            ops.add(one.device(), sum.device(), 1);
        };
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

    private GraphReplay replay(GraphMemory memory) {
        return new GraphReplay(gpu, memory, "test", 100);
    }

    private void run(GraphReplay replay, int key, int times) {
        for (int i = 0; i < times; i++) {
            replay.run(key, batch, kv, 1, 1, work);
            asked++;
        }
    }

    /** Whether a piece replays; it runs once more. */
    private boolean replays(GraphReplay replay, int key) {
        int before = runs;
        run(replay, key, 1);
        return runs == before;
    }

    private void checkTotal() {
        ops.pull(sum, 4);
        assertEquals(asked, sum.host().host().getAtIndex(ValueLayout.JAVA_FLOAT, 3));
    }

    @Test
    void theGraphsUsedLongestAgoGiveWayToNewOnesOfAnyReplay() {
        GraphMemory memory = new GraphMemory(gpu, 3 * TOLL);
        try (GraphReplay first = replay(memory); GraphReplay second = replay(memory)) {
            run(first, 1, 3);
            run(second, 1, 3);
            run(first, 2, 3);
            assertEquals(3 * TOLL, memory.taken());
            assertEquals(3 * TOLL, toll.taken());
            run(first, 1, 1);
            run(first, 2, AWAY);
            // second's piece was used longest ago, then first's 1.
            run(first, 3, 3);
            assertEquals(3, first.graphs());
            assertEquals(0, second.graphs());
            assertEquals(3 * TOLL, toll.taken());
            assertTrue(replays(first, 1) && replays(first, 2) && replays(first, 3));
            // What has given way has to come as often as something new.
            run(first, 2, AWAY);
            assertTrue(!replays(second, 1) && !replays(second, 1) && !replays(second, 1) && replays(second, 1));
            assertEquals(2, first.graphs());
            assertEquals(3 * TOLL, toll.taken());
            checkTotal();
        }
        assertEquals(0, memory.taken());
        assertEquals(0, toll.taken());
    }

    /** Pieces of the same step that do not fit together: those that came first stay, and nothing is recorded over and over. */
    @Test
    void graphsInUseDoNotTakeTurns() {
        GraphMemory memory = new GraphMemory(gpu, 2 * TOLL);
        try (GraphReplay replay = replay(memory)) {
            for (int step = 0; step < 50; step++) {
                for (int key = 0; key < 3; key++) {
                    run(replay, key, 1);
                }
            }
            assertEquals(2, replay.graphs());
            assertEquals(2 * 3 + 50, runs);
            checkTotal();
        }
    }

    @Test
    void withTooLittleMemoryForOneAllRunsWithout() {
        GraphMemory memory = new GraphMemory(gpu, TOLL - 1);
        try (GraphReplay replay = replay(memory)) {
            run(replay, 1, 5);
            assertEquals(1, emulator.calls(Call.GRAPH), "what it takes shows when it has run");
            for (int key = 2; key < 6; key++) {
                run(replay, key, 5);
            }
            assertEquals(1, emulator.calls(Call.GRAPH));
            assertEquals(0, replay.graphs());
            assertEquals(0, memory.taken());
            assertEquals(0, toll.taken());
            checkTotal();
        }
    }

    /** What a small graph took says little of a larger one: much of it may be what all graphs share. */
    @Test
    void aFirstSmallGraphRefusesNoLargerOne() {
        GraphMemory memory = new GraphMemory(gpu, 3 * TOLL);
        HostMirror other = arena.mirror(DType.F32, 1, 4);
        try (GraphReplay replay = replay(memory)) {
            run(replay, 1, 3);
            more = () -> {
                for (int i = 0; i < 4; i++) {
                    ops.add(sum.device(), other.device(), 1);
                }
            };
            run(replay, 2, 3);
            assertTrue(replays(replay, 1) && replays(replay, 2));
            assertEquals(2 * TOLL, memory.taken());
            checkTotal();
        }
    }

    /** A larger one is measured when it has run, even where a small one took more than there is. */
    @Test
    void aLargerGraphIsJudgedByItself() {
        GraphMemory memory = new GraphMemory(gpu, TOLL - 1);
        HostMirror other = arena.mirror(DType.F32, 1, 4);
        try (GraphReplay replay = replay(memory)) {
            run(replay, 1, 5);
            assertEquals(1, emulator.calls(Call.GRAPH));
            more = () -> ops.add(sum.device(), other.device(), 1);
            run(replay, 2, 5);
            assertEquals(2, emulator.calls(Call.GRAPH));
            run(replay, 3, 5);
            assertEquals(2, emulator.calls(Call.GRAPH), "as large as one that was too large");
            assertEquals(0, toll.taken());
            checkTotal();
        }
    }

    /** Free memory does not fall for graphs that live in what others had. */
    @Test
    void memoryThatTheDriverKeepsIsCounted() {
        toll.keep();
        GraphMemory memory = new GraphMemory(gpu, 3 * TOLL);
        try (GraphReplay replay = replay(memory)) {
            for (int key = 0; key < 20; key++) {
                run(replay, key, 3);
                run(replay, key, AWAY);
            }
            assertEquals(3, replay.graphs());
            assertEquals(3 * TOLL, toll.taken());
            checkTotal();
        }
    }

    /** What is allocated while a graph is recorded is not the graph's. */
    @Test
    void othersMemoryIsNotCounted() {
        GraphMemory memory = new GraphMemory(gpu, 4 * TOLL);
        try (GraphReplay replay = replay(memory)) {
            run(replay, 1, 3);
            run(replay, 2, 2);
            more = () -> gpu.allocate(8 * TOLL);
            run(replay, 2, 1);
            assertEquals(2 * TOLL, memory.taken());
            assertEquals(2, replay.graphs());
            checkTotal();
        }
    }

    @Test
    void aFirstLaunchWithoutMemoryIsARefusalAndOthersAreErrors() {
        try (GraphReplay replay = replay(gpu.graphs())) {
            run(replay, 1, 2);
            toll.failNext(new GpuOutOfMemory("full"));
            run(replay, 1, 3);
            assertEquals(0, replay.graphs());
            assertEquals(0, toll.taken());
            assertEquals(0, emulator.calls(Call.GRAPH));
            checkTotal();
            run(replay, 2, 2);
            toll.failNext(new GpuException("the device is gone"));
            int before = runs;
            assertEquals("the device is gone", assertThrows(GpuException.class, () -> run(replay, 2, 1)).getMessage());
            assertEquals(before + 1, runs, "recorded, and not run beside that");
        }
    }

    @Test
    void theDeviceSaysWhatGraphsMayTake() {
        assertEquals(gpu.graphs().budget(), ops.ownMemory().graphs());
        assertEquals(ops.freeBytes() / 16, ops.ownMemory().graphs(), 1 << 16);
        try (Ops beside = ops.beside()) {
            assertEquals(0, beside.ownMemory().graphs());
            assertTrue(!beside.usesGraphs());
        }
        ops.useGraphs(false);
        assertEquals(0, ops.ownMemory().graphs());
    }
}
