package org.respec.bindings.gpu.emulator;

import java.lang.foreign.Arena;
import java.util.List;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuStream;

/** Work that was recorded. */
final class EmulatedGraph implements GpuGraph {
    private final List<Runnable> work;
    private final Arena arguments;

    /** @param arguments owner of the copied argument structs */
    EmulatedGraph(List<Runnable> work, Arena arguments) {
        this.work = List.copyOf(work);
        this.arguments = arguments;
    }

    @Override
    public void launch(GpuStream stream) {
        if (!arguments.scope().isAlive()) {
            throw new IllegalStateException("the graph is closed");
        }
        EmulatedStream own = (EmulatedStream) stream;
        own.driver().count(EmulatorDriver.Call.GRAPH);
        own.countLaunch();
        own.run(() -> work.forEach(Runnable::run));
    }

    @Override
    public void close() {
        if (arguments.scope().isAlive()) {
            arguments.close();
        }
    }
}
