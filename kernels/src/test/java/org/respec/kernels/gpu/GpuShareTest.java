package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;

/** Kernels are compiled once for all who share a device, and nobody waits for one he does not want. */
@Timeout(60)
class GpuShareTest {
    private static final KernelSpec SLOW = DraftSelectKernel.specs().getFirst();
    private static final KernelSpec QUICK = VerifyTreesKernel.specs().getFirst();

    private final CountDownLatch compiling = new CountDownLatch(1);
    private final CountDownLatch go = new CountDownLatch(1);
    private final AtomicInteger compiled = new AtomicInteger();
    private volatile boolean closed;
    private volatile boolean fails;
    private final GpuShare share = new GpuShare(proxy(GpuDriver.class, (driver, method, arguments) -> switch (method.getName()) {
        case "compile" -> compile((KernelSource) arguments[0]);
        case "load" -> proxy(GpuModule.class, (module, of, entry) -> proxy(GpuKernel.class, (kernel, any, none) -> entry[0]));
        case "close" -> {
            closed = true;
            yield null;
        }
        default -> throw new UnsupportedOperationException(method.getName());
    }));

    private static <T> T proxy(Class<T> type, InvocationHandler handler) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
    }

    private KernelImage compile(KernelSource source) throws InterruptedException {
        compiled.incrementAndGet();
        if (source.entries().contains(SLOW.entry())) {
            compiling.countDown();
            assertTrue(go.await(30, TimeUnit.SECONDS));
        }
        assertFalse(closed, "closed under a compilation");
        if (fails) {
            throw new GpuException("it does not compile");
        }
        return new KernelImage(source.label(), new byte[0], "");
    }

    private FutureTask<GpuKernel> start(KernelSpec spec) {
        FutureTask<GpuKernel> task = new FutureTask<>(() -> share.kernel(spec));
        Thread.ofPlatform().daemon().start(task);
        return task;
    }

    @Test
    void aCompilationHoldsUpNoOtherKernel() throws Exception {
        GpuKernel quick = share.kernel(QUICK);
        FutureTask<GpuKernel> slow = start(SLOW);
        compiling.await();
        FutureTask<GpuKernel> same = start(SLOW);
        assertSame(quick, share.kernel(QUICK), "loaded before");
        KernelSpec other = DraftBudgetsKernel.specs().getFirst();
        share.kernel(other);
        assertEquals(Set.of(QUICK, other), share.loaded());
        share.join();
        share.leave();
        assertFalse(slow.isDone());
        go.countDown();
        assertSame(slow.get(), same.get());
        assertEquals(3, compiled.get(), "each once");
        assertEquals(Set.of(QUICK, other, SLOW), share.loaded());
    }

    @Test
    void whatDidNotCompileIsTriedAgain() {
        fails = true;
        assertThrows(GpuException.class, () -> share.kernel(QUICK));
        assertEquals(Set.of(), share.loaded());
        fails = false;
        assertSame(share.kernel(QUICK), share.kernel(QUICK));
        assertEquals(2, compiled.get());
    }

    @Test
    void theDriverIsNotClosedUnderACompilation() throws Exception {
        FutureTask<GpuKernel> slow = start(SLOW);
        compiling.await();
        share.leave();
        assertFalse(closed, "still in use");
        go.countDown();
        slow.get();
        assertTrue(closed);
        assertThrows(IllegalStateException.class, () -> share.kernel(QUICK));
        assertThrows(IllegalStateException.class, share::join);
    }
}
