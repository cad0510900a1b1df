package org.respec.bindings.nvrtc;

import java.util.SortedSet;
import org.respec.bindings.gpu.GpuException;

/**
 * Which architecture a device's kernels are compiled for.
 *
 * <p>A device of capability 9.0 or newer gets the architecture-specific form, {@code sm_90a} or {@code sm_100a}: it alone has wgmma and
 * its successors, and a cubin is made for one device anyway. If the compiler is older than the device, the newest capability of the
 * same major version that it knows is taken in its plain form, which newer minor versions run.
 */
public final class Architectures {
    /** Oldest that the kernels are written for: {@code cp.async} and bf16 {@code mma} came with Ampere. */
    private static final int OLDEST = 80;

    private Architectures() {
    }

    /**
     * The architecture for a device.
     *
     * @param capability of the device, {@code 10 * major + minor}
     * @throws GpuException if the device is too old, or the compiler too old for it
     */
    public static String forDevice(int capability, KernelCompiler compiler) {
        checkDevice(capability);
        SortedSet<Integer> known = compiler.capabilities();
        if (known.contains(capability)) {
            return "sm_" + capability + (capability >= 90 ? "a" : "");
        }
        SortedSet<Integer> older = known.subSet(capability / 10 * 10, capability);
        if (older.isEmpty()) {
            throw new GpuException(compiler.version() + " (" + compiler.origin() + ") cannot compile for compute capability "
                + text(capability) + ": install a newer CUDA toolkit or NVRTC wheel");
        }
        return "sm_" + older.last();
    }

    /** Whether {@link #forDevice} would give the device's own architecture. */
    static boolean knows(KernelCompiler compiler, int capability) {
        return compiler.capabilities().contains(capability);
    }

    private static void checkDevice(int capability) {
        if (capability < OLDEST) {
            throw new GpuException("the device has compute capability " + text(capability) + "; the kernels need " + text(OLDEST)
                + " (Ampere) or newer: use another device, or device cpu");
        }
    }

    /** Refuses what the compiler does not know, in our words: its own say only that an option is invalid. */
    static void checkKnown(KernelCompiler compiler, String architecture) {
        String digits = architecture.replaceFirst("^sm_", "").replaceFirst("[af]$", "");
        if (!architecture.startsWith("sm_") || !digits.matches("\\d{2,4}") || !compiler.capabilities().contains(Integer.parseInt(digits))) {
            throw new GpuException(compiler.version() + " cannot compile for the architecture " + architecture + "; it knows sm_"
                + compiler.capabilities().first() + " to sm_" + compiler.capabilities().last());
        }
    }

    private static String text(int capability) {
        return capability / 10 + "." + capability % 10;
    }
}
