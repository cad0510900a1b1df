package org.respec.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What is measured is what the device would take: with its alignment, or in its granules. */
class SizingOpsTest {
    private static Map<String, Long> sizes(Ops device) {
        SizingOps sizing = new SizingOps(device);
        try (TensorArena arena = sizing.ops().arena("all")) {
            arena.allocate(DType.F32, 1, 1);
            arena.mirror(DType.F32, 3, 1 << 18);
            arena.pinned(DType.F32, 1, 100);
            return Map.copyOf(sizing.bytes());
        }
    }

    @Test
    void allocationsAreThoseOfTheDevice() {
        try (Ops cpu = Backends.open("cpu", 1)) {
            assertEquals(Map.of("all", (3L << 20) + 256), sizes(cpu));
            Ops granules = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (proxy, method, a) ->
                method.getName().equals("allocationBytes") && (long) a[0] >= 1 << 20 ? 4L << 20
                    : method.isDefault() ? InvocationHandler.invokeDefault(proxy, method, a) : method.invoke(cpu, a));
            assertEquals(Map.of("all", (4L << 20) + 256), sizes(granules));
        }
    }
}
