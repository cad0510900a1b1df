package org.respec.kernels.check;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.respec.bindings.gpu.GpuException;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.cpu.CpuOps;

/** Runs of checks, and what a bench does at its edges, with the CPU on both sides. */
class CheckRunnerTest {
    private static final OperatorCheck GOOD = new OperatorCheck("good", bench -> bench.near("half", 1, 1.5, 0, 1));
    private static final OperatorCheck BAD = new OperatorCheck("bad", bench -> {
        bench.near("a quarter", 1, 1.25, 0, 1);
        bench.near("far", 1, 3, 0, 1);
    });
    private static final OperatorCheck EMPTY = new OperatorCheck("empty", bench -> {
    });

    private CpuOps cpu;

    @BeforeEach
    void open() {
        cpu = new CpuOps(1);
    }

    @AfterEach
    void close() {
        cpu.close();
    }

    /** The CPU's operators, on a device that says {@code complaint} whenever it is waited for. */
    private Ops complaining(RuntimeException complaint) {
        return (Ops) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Ops.class}, (proxy, method, arguments) -> {
            if (method.getName().equals("synchronize")) {
                throw complaint;
            }
            try {
                return method.invoke(cpu, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    @Test
    void goesOnAfterAFailure() {
        CheckRunner runner = new CheckRunner(cpu, complaining(new IllegalArgumentException("a fault left behind")), 1);
        CheckResult bad = runner.run(BAD);
        assertEquals(CheckResult.Outcome.FAILED, bad.outcome());
        assertEquals(0.25, bad.shareOfTolerance());
        assertTrue(bad.message().startsWith("far: expected 1.0") && bad.message().endsWith("seed 1"), bad.message());
        CheckResult empty = runner.run(EMPTY);
        assertTrue(empty.message().contains("compared nothing"), empty.message());
        CheckResult good = runner.run(GOOD);
        assertTrue(good.passed(), good.message());
        assertEquals(0.5, good.shareOfTolerance());
        assertEquals("", good.message());
        assertNull(runner.death());
    }

    @Test
    void stopsWhenTheDeviceIsDead() {
        CheckRunner runner = new CheckRunner(cpu, complaining(new GpuException("it is dead")), 1);
        RuntimeException thrown = new GpuException("an illegal address");
        CheckResult killer = runner.run(new OperatorCheck("killer", bench -> {
            throw thrown;
        }));
        assertSame(thrown, killer.failure());
        assertEquals("it is dead", runner.death());
        CheckResult after = runner.run(GOOD);
        assertEquals(CheckResult.Outcome.NOT_RUN, after.outcome());
        assertTrue(after.message().startsWith("not run"), after.message());
    }

    /** Such a matrix has a row stride of 0, and its guards are still looked at. */
    @Test
    void matricesOfNoColumnsAreGuarded() {
        try (CheckBench bench = new CheckBench(cpu, cpu, 1)) {
            for (int gap : new int[] {0, 3}) {
                Twin none = bench.poisoned(DType.F32, 3, 0, gap);
                bench.compare("nothing", none, 3, 0, 0);
                bench.untouched("nothing", none, 0);
                bench.finish();
                none.device().storage().host().set(ValueLayout.JAVA_FLOAT, 4 * none.device().offset(), 1f);
                assertThrows(CheckFailure.class, bench::finish);
                none.device().storage().host().set(ValueLayout.JAVA_INT, 4 * none.device().offset(), Twin.POISON);
            }
        }
    }

    @Test
    void toleranceOfNothingUsesNone() {
        try (CheckBench bench = new CheckBench(cpu, cpu, 1)) {
            bench.near("zero", 0, 0, 1e-3, 0);
            assertEquals(0, bench.worstShare());
        }
    }
}
