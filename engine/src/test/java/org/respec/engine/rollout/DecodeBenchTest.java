package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.Test;
import org.respec.engine.BadInput;
import org.respec.engine.model.ModelConfig;
import org.respec.engine.model.TestModels;
import org.respec.engine.speculation.SpeculationPlan;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.OutOfDeviceMemory;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;

/** What decode steps are timed with: a device that records them, and one whose memory ends. */
class DecodeBenchTest {
    private int replays;
    private boolean full;

    /** The CPU's operators, but that pieces of work are counted, and that there is no memory while {@link #full}. */
    private Ops watched(Ops cpu) {
        return (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (proxy, method, arguments) -> {
            if (full && method.getName().equals("arena")) {
                throw new OutOfDeviceMemory("no byte is free", null);
            }
            if (method.getName().equals("replay")) {
                return new Counting();
            }
            try {
                return method.invoke(cpu, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    private final class Counting implements Replay {
        @Override
        public void run(int key, RowBatch batch, KvStore kv, int requests, int rows, Runnable work) {
            replays++;
            work.run();
        }

        @Override
        public void close() {
            // Keeps nothing.
        }
    }

    private static DecodeBench.Setting setting(SpeculationPlan plan) {
        return new DecodeBench.Setting(2, plan, new double[] {0.5}, 6, 2, 3);
    }

    /** The step that fills the contexts runs nothing, and nothing may be recorded before it has run. */
    @Test
    void whatIsSkippedCountsAsNoRun() {
        try (Ops cpu = Backends.open("cpu", 1)) {
            ModelConfig config = TestModels.actorConfig(true);
            try (DecodeBench bench = new DecodeBench(watched(cpu), DType.F32, config, TestModels.drafterConfig(config))) {
                assertEquals(1, bench.run(setting(SpeculationPlan.OFF)).tokensPerStep());
                // Two steps of warm-up and three more; the steps by stages replay nothing.
                assertEquals(5, replays);
                replays = 0;
                bench.run(setting(SpeculationPlan.parse("1x1x1")));
                assertEquals(0, replays % 5, "each of five steps the same pieces: " + replays);
                assertTrue(replays >= 10, "drafting and verification: " + replays);
            }
        }
    }

    @Test
    void aSettingThatMemoryIsTooSmallForIsRefusedAndTheNextIsTimed() {
        try (Ops cpu = Backends.open("cpu", 1)) {
            ModelConfig config = TestModels.actorConfig(true);
            try (DecodeBench bench = new DecodeBench(watched(cpu), DType.F32, config, TestModels.drafterConfig(config))) {
                full = true;
                BadInput refused = assertThrows(BadInput.class, () -> bench.run(setting(SpeculationPlan.OFF)));
                assertTrue(refused.getMessage().startsWith("2 requests with 6 tokens and speculation off do not fit "),
                    refused.getMessage());
                assertTrue(refused.getMessage().contains("(no byte is free)"), refused.getMessage());
                full = false;
                assertTrue(bench.run(setting(SpeculationPlan.OFF)).stepSeconds() > 0);
            }
        }
    }
}
