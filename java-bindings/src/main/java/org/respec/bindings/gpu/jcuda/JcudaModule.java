package org.respec.bindings.gpu.jcuda;

import java.util.HashMap;
import java.util.Map;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;
import org.respec.bindings.gpu.GpuKernel;
import org.respec.bindings.gpu.GpuModule;
import org.respec.bindings.gpu.KernelImage;

final class JcudaModule implements GpuModule, Context.Resource {
    private final Context context;
    private final String label;
    private final CUmodule handle = new CUmodule();
    private final Map<String, JcudaKernel> kernels = new HashMap<>();
    private volatile boolean alive = true;

    JcudaModule(Context context, KernelImage image) {
        this.context = context;
        this.label = image.label();
        context.run("loading " + label, () -> JCudaDriver.cuModuleLoadData(handle, image.bytes()));
        context.add(this);
    }

    void checkAlive() {
        if (!alive) {
            throw new IllegalStateException("a kernel of " + label + " is used after its module was closed");
        }
    }

    @Override
    public synchronized GpuKernel kernel(String entry) {
        checkAlive();
        JcudaKernel kernel = kernels.get(entry);
        if (kernel == null) {
            Handles.Function function = new Handles.Function();
            context.run("looking for the kernel " + entry + " in " + label, () -> JCudaDriver.cuModuleGetFunction(function, handle, entry));
            kernel = new JcudaKernel(context, this, function, label + " " + entry);
            kernels.put(entry, kernel);
        }
        return kernel;
    }

    @Override
    public void close() {
        if (alive && !context.isClosed()) {
            context.retire("unloading " + label, this);
        }
    }

    @Override
    public void release() {
        alive = false;
        JCudaDriver.cuModuleUnload(handle);
    }
}
