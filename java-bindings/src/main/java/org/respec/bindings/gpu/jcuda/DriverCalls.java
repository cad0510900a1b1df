package org.respec.bindings.gpu.jcuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import org.respec.bindings.nativelib.NativeLibrary;

/**
 * The driver's calls that a step makes by the hundred, past JCuda: a launch through JCuda costs 0.6 to 12 microseconds of host time and
 * several objects, one through here some 15 nanoseconds and none. Page-locked memory comes through here because JCuda wraps it in a
 * direct buffer, which holds less than 2 GiB. Handles and addresses are longs. Each returns the CUresult.
 */
final class DriverCalls {
    private final MethodHandle setCurrent;
    private final MethodHandle launch;
    private final MethodHandle copyIn;
    private final MethodHandle copyOut;
    private final MethodHandle copy;
    private final MethodHandle fill;
    private final MethodHandle record;
    private final MethodHandle await;
    private final MethodHandle queryEvent;
    private final MethodHandle waitEvent;
    private final MethodHandle elapsed;
    private final MethodHandle waitStream;
    private final MethodHandle launchGraph;
    private final MethodHandle allocateHost;
    private final MethodHandle freeHost;
    private final MethodHandle parameter;

    DriverCalls(NativeLibrary driver) {
        setCurrent = function(driver, "cuCtxSetCurrent", JAVA_LONG);
        launch = function(driver, "cuLaunchKernel", JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
            JAVA_LONG, JAVA_LONG, JAVA_LONG);
        copyIn = function(driver, "cuMemcpyHtoDAsync_v2", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        copyOut = function(driver, "cuMemcpyDtoHAsync_v2", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        copy = function(driver, "cuMemcpyDtoDAsync_v2", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        fill = function(driver, "cuMemsetD32Async", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        record = function(driver, "cuEventRecord", JAVA_LONG, JAVA_LONG);
        await = function(driver, "cuStreamWaitEvent", JAVA_LONG, JAVA_LONG, JAVA_INT);
        queryEvent = function(driver, "cuEventQuery", JAVA_LONG);
        waitEvent = function(driver, "cuEventSynchronize", JAVA_LONG);
        elapsed = function(driver, "cuEventElapsedTime", JAVA_LONG, JAVA_LONG, JAVA_LONG);
        waitStream = function(driver, "cuStreamSynchronize", JAVA_LONG);
        launchGraph = function(driver, "cuGraphLaunch", JAVA_LONG, JAVA_LONG);
        allocateHost = function(driver, "cuMemHostAlloc", JAVA_LONG, JAVA_LONG, JAVA_INT);
        freeHost = function(driver, "cuMemFreeHost", JAVA_LONG);
        // Since driver 12.4.
        parameter = driver.has("cuFuncGetParamInfo") ? function(driver, "cuFuncGetParamInfo", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG)
            : null;
    }

    private static MethodHandle function(NativeLibrary driver, String name, MemoryLayout... arguments) {
        return driver.function(name, FunctionDescriptor.of(JAVA_INT, arguments));
    }

    int setCurrent(long context) {
        try {
            return (int) setCurrent.invokeExact(context);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    /** @param parameters address of an array with one pointer: to the argument struct */
    int launch(long function, int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes, long stream, long parameters) {
        try {
            return (int) launch.invokeExact(function, gridX, gridY, gridZ, blockX, blockY, 1, sharedBytes, stream, parameters, 0L);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int copyIn(long to, long from, long bytes, long stream) {
        try {
            return (int) copyIn.invokeExact(to, from, bytes, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int copyOut(long to, long from, long bytes, long stream) {
        try {
            return (int) copyOut.invokeExact(to, from, bytes, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int copy(long to, long from, long bytes, long stream) {
        try {
            return (int) copy.invokeExact(to, from, bytes, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int fill(long to, int word, long count, long stream) {
        try {
            return (int) fill.invokeExact(to, word, count, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int record(long event, long stream) {
        try {
            return (int) record.invokeExact(event, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int await(long stream, long event) {
        try {
            return (int) await.invokeExact(stream, event, 0);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int queryEvent(long event) {
        try {
            return (int) queryEvent.invokeExact(event);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int waitEvent(long event) {
        try {
            return (int) waitEvent.invokeExact(event);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    /** @param to where the milliseconds from one event to a later one go, a float */
    int elapsed(MemorySegment to, long from, long event) {
        try {
            return (int) elapsed.invokeExact(to.address(), from, event);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int waitStream(long stream) {
        try {
            return (int) waitStream.invokeExact(stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int launchGraph(long graph, long stream) {
        try {
            return (int) launchGraph.invokeExact(graph, stream);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    /** @param to where the address of the page-locked memory goes */
    int allocateHost(MemorySegment to, long bytes) {
        try {
            return (int) allocateHost.invokeExact(to.address(), bytes, 0);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    int freeHost(long address) {
        try {
            return (int) freeHost.invokeExact(address);
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    /** Bytes of a kernel's parameter {@code index}: -1 if it has no such parameter, -2 if the driver is too old to say. */
    long parameterBytes(long function, long index) {
        if (parameter == null) {
            return -2;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment offset = arena.allocate(JAVA_LONG);
            MemorySegment size = arena.allocate(JAVA_LONG);
            int rc = (int) parameter.invokeExact(function, index, offset.address(), size.address());
            return rc == 0 ? size.get(JAVA_LONG, 0) : -1;
        } catch (Throwable t) {
            throw broken(t);
        }
    }

    private static IllegalStateException broken(Throwable t) {
        return new IllegalStateException("a call of the CUDA driver could not be made", t);
    }
}
