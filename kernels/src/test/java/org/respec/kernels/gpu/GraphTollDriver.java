package org.respec.kernels.gpu;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuStream;

/** Another driver whose graphs take device memory: half when they are recorded, half when they are launched for the first time. */
final class GraphTollDriver {
    private final GpuDriver inner;
    private final long toll;
    private long taken;
    private long left;
    private boolean keeps;
    private RuntimeException failure;

    /**
     * Over {@code inner}, which is closed with this.
     *
     * @param toll bytes of a graph, an even number
     */
    GraphTollDriver(GpuDriver inner, long toll) {
        this.inner = inner;
        this.toll = toll;
    }

    /** Bytes that graphs have taken of the device. */
    long taken() {
        return taken;
    }

    /** From now on what a graph has taken stays the driver's when it is closed, for the next ones. */
    void keep() {
        keeps = true;
    }

    /** What the next launch of a graph throws. */
    void failNext(RuntimeException e) {
        failure = e;
    }

    private void take(long bytes) {
        long reused = Math.min(left, bytes);
        left -= reused;
        taken += bytes - reused;
    }

    private void give(long bytes) {
        if (keeps) {
            left += bytes;
        } else {
            taken -= bytes;
        }
    }

    GpuDriver driver() {
        return proxy(GpuDriver.class, (proxy, method, arguments) -> switch (method.getName()) {
            case "freeBytes" -> inner.freeBytes() - taken;
            // Here nobody multiplies, whatever the stream.
            case "blas" -> inner.blas(inner.stream());
            case "stream", "urgentStream" -> stream((GpuStream) forward(inner, method, arguments));
            default -> forward(inner, method, arguments);
        });
    }

    private GpuStream stream(GpuStream now) {
        return proxy(GpuStream.class, (proxy, method, arguments) -> {
            if (!method.getName().equals("endCapture")) {
                return forward(now, method, arguments);
            }
            GpuGraph graph = now.endCapture();
            take(toll / 2);
            return new Graph(graph, now);
        });
    }

    private final class Graph implements GpuGraph {
        private final GpuGraph graph;
        private final GpuStream stream;
        private boolean launched;

        Graph(GpuGraph graph, GpuStream stream) {
            this.graph = graph;
            this.stream = stream;
        }

        @Override
        public void launch(GpuStream ignored) {
            if (failure != null) {
                RuntimeException e = failure;
                failure = null;
                throw e;
            }
            if (!launched) {
                launched = true;
                take(toll / 2);
            }
            graph.launch(stream);
        }

        @Override
        public void close() {
            give(launched ? toll : toll / 2);
            graph.close();
        }
    }

    private static Object forward(Object target, Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private static <T> T proxy(Class<T> type, InvocationHandler handler) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
    }
}
