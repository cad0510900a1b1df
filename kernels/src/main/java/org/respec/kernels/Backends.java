package org.respec.kernels;

import java.util.List;
import java.util.function.Supplier;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.bindings.gpu.jcuda.JcudaDriver;
import org.respec.kernels.cpu.CpuOps;
import org.respec.kernels.gpu.GpuOps;

/** Where operators come from, so that callers know {@link Ops} alone. */
public final class Backends {
    /** Names that {@link #open} knows. */
    public static final List<String> NAMES = List.of("auto", "cpu", "cuda", "emulator");

    private Backends() {
    }

    /** Operators on a device, with graphs where it has them. */
    public static Ops open(String device, int threads) {
        return open(device, threads, true);
    }

    /**
     * Operators on a device. What it is, and why {@code auto} chose it, is in {@link Ops#device}.
     *
     * @param device {@code cpu}; {@code cuda}, the machine's first NVIDIA GPU; {@code emulator}, the GPU's kernels run on the host;
     *     or {@code auto} for the GPU where there is a usable one, else the CPU
     * @param threads host threads of the CPU's operators; 0 for as many as there are processors
     * @param graphs whether a GPU, or the emulated one, replays work that repeats as graphs (see {@link Replay})
     * @throws IllegalArgumentException for another name, or for a device that this machine cannot offer: one sentence without its
     *     full stop, with the reason
     */
    public static Ops open(String device, int threads, boolean graphs) {
        int count = threads > 0 ? threads : Runtime.getRuntime().availableProcessors();
        return switch (device) {
            case "cpu" -> new CpuOps(count);
            case "cuda" -> gpu(device, graphs, true, () -> JcudaDriver.open(0));
            // Unchecked: what bounds and races there are to find, the checks of the operators look for.
            case "emulator" -> gpu(device, graphs, false, () -> EmulatorDriver.open(EmulatorOptions.defaults().withChecked(false)));
            case "auto" -> best(count, graphs);
            default -> throw new IllegalArgumentException("device '" + device + "' is not known; use one of " + String.join(", ", NAMES));
        };
    }

    /**
     * Operators on the same device that another thread may use at the same time, on the same tensors: on a GPU in a stream of their own, so
     * that what one asked for is there for the other after {@link Ops#synchronize}.
     *
     * @param ops from {@link #open}
     * @param threads host threads of their own; means nothing on a GPU
     */
    public static Ops beside(Ops ops, int threads) {
        return switch (ops) {
            case CpuOps cpu -> new CpuOps(threads);
            case GpuOps gpu -> gpu.beside();
            default -> throw new IllegalArgumentException("there is nothing beside " + ops.device());
        };
    }

    private static Ops gpu(String device, boolean graphs, boolean fastProducts, Supplier<GpuDriver> driver) {
        try {
            return on(driver.get(), graphs, fastProducts);
        } catch (GpuException e) {
            throw new IllegalArgumentException("device '" + device + "' cannot be used: " + sentence(e), e);
        }
    }

    private static Ops best(int threads, boolean graphs) {
        try {
            return on(JcudaDriver.open(0), graphs, true);
        } catch (GpuException e) {
            return new CpuOps(threads, ", since there is no usable GPU (" + sentence(e) + ")");
        }
    }

    private static Ops on(GpuDriver driver, boolean graphs, boolean fastProducts) {
        try {
            GpuOps ops = new GpuOps(driver);
            ops.useGraphs(graphs);
            ops.useFastProducts(fastProducts);
            return ops;
        } catch (RuntimeException e) {
            driver.close();
            throw e;
        }
    }

    private static String sentence(GpuException e) {
        return e.getMessage().replaceAll("\\.$", "");
    }
}
