package org.respec.bindings.gpu.jcuda;

import java.util.List;
import jcuda.driver.CUgraph;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuGraph;
import org.respec.bindings.gpu.GpuStream;

final class JcudaGraph implements GpuGraph, Context.Resource {
    private final Context context;
    private final Handles.GraphExec handle = new Handles.GraphExec();
    private final String text;
    private boolean alive = true;

    /** @param captured taken over: freed here, whether this succeeds or not */
    JcudaGraph(Context context, CUgraph captured, List<String> kernels) {
        this.context = context;
        this.text = "graph of " + kernels.size() + " launches " + kernels.stream().distinct().toList();
        try {
            context.run("cuGraphInstantiate", () -> JCudaDriver.cuGraphInstantiate(handle, captured, 0));
        } finally {
            JCudaDriver.cuGraphDestroy(captured);
        }
        context.add(this);
    }

    long raw() {
        if (!alive) {
            throw new IllegalStateException("a graph is used after it was closed");
        }
        return handle.raw();
    }

    @Override
    public void launch(GpuStream stream) {
        if (!(stream instanceof JcudaStream own)) {
            throw new IllegalArgumentException("a stream of another driver");
        }
        own.launch(context, this);
    }

    @Override
    public void close() {
        if (alive && !context.isClosed()) {
            context.release(this);
        }
    }

    @Override
    public void release() {
        alive = false;
        JCudaDriver.cuGraphExecDestroy(handle);
    }

    @Override
    public String toString() {
        return text;
    }
}
