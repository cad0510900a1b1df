package org.respec.bindings.gpu.emulator;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.bindings.gpu.KernelSource;

/** A device with what tests need around it. */
final class EmulatorBench implements AutoCloseable {
    final GpuDriver driver;
    final GpuStream stream;
    private final Arena arena = Arena.ofConfined();

    /** Skips the test where no C++ compiler is installed. */
    EmulatorBench(EmulatorOptions options) {
        driver = open(options);
        stream = driver.stream();
    }

    private static GpuDriver open(EmulatorOptions options) {
        try {
            return EmulatorDriver.open(options);
        } catch (GpuException e) {
            if (e.getMessage().contains("needs a C++ compiler")) {
                abort(e.getMessage());
            }
            throw e;
        }
    }

    static KernelSource source(String name, String text, String... entries) {
        return new KernelSource(name, text, new TreeMap<>(), new TreeMap<>(), List.of(entries));
    }

    /** A file of the tests' resources. */
    static KernelSource file(String name, String... entries) {
        try (InputStream in = EmulatorBench.class.getResourceAsStream(name)) {
            SortedMap<String, String> none = new TreeMap<>();
            return new KernelSource(name, new String(in.readAllBytes(), StandardCharsets.UTF_8), none, none, List.of(entries));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    GpuKernel kernel(KernelSource source, String entry) {
        return driver.load(driver.compile(source)).kernel(entry);
    }

    /** A struct of longs (addresses), ints and floats, each at its natural alignment. */
    MemorySegment arguments(Number... fields) {
        MemorySegment struct = arena.allocate(256, 16);
        long at = 0;
        for (Number field : fields) {
            switch (field) {
                case Long value -> {
                    at = (at + 7) & ~7L;
                    struct.set(ValueLayout.JAVA_LONG, at, value);
                    at += 8;
                }
                case Float value -> {
                    struct.set(ValueLayout.JAVA_FLOAT, at, value);
                    at += 4;
                }
                default -> {
                    struct.set(ValueLayout.JAVA_INT, at, field.intValue());
                    at += 4;
                }
            }
        }
        return struct.asSlice(0, (at + 7) & ~7L);
    }

    void launch(GpuKernel kernel, int grid, int block, int shared, Number... fields) {
        stream.launch(kernel, grid, 1, 1, block, 1, shared, arguments(fields));
    }

    MemorySegment host(long bytes) {
        return arena.allocate(Math.max(bytes, 4), 16);
    }

    GpuMemory floats(float... values) {
        GpuMemory memory = driver.allocate(4L * values.length);
        stream.copyIn(host(4L * values.length).copyFrom(MemorySegment.ofArray(values)), 0, memory, 0, 4L * values.length);
        return memory;
    }

    GpuMemory ints(int... values) {
        GpuMemory memory = driver.allocate(4L * values.length);
        stream.copyIn(host(4L * values.length).copyFrom(MemorySegment.ofArray(values)), 0, memory, 0, 4L * values.length);
        return memory;
    }

    private MemorySegment read(GpuMemory memory) {
        MemorySegment host = host(memory.bytes());
        stream.copyOut(memory, 0, host, 0, memory.bytes());
        stream.synchronize();
        return host.asSlice(0, memory.bytes());
    }

    float[] floats(GpuMemory memory) {
        return read(memory).toArray(ValueLayout.JAVA_FLOAT);
    }

    int[] ints(GpuMemory memory) {
        return read(memory).toArray(ValueLayout.JAVA_INT);
    }

    short[] shorts(GpuMemory memory) {
        return read(memory).toArray(ValueLayout.JAVA_SHORT);
    }

    @Override
    public void close() {
        driver.close();
        arena.close();
    }
}
