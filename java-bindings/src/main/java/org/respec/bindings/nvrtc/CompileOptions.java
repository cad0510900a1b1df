package org.respec.bindings.nvrtc;

import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.KernelSource;

/** What NVRTC is told beside the source. Never {@code --use_fast_math}: it changes division, square roots and denormals everywhere. */
final class CompileOptions {
    private CompileOptions() {
    }

    static List<String> of(KernelSource source, String architecture) {
        List<String> options = new ArrayList<>(List.of("-std=c++17", "--gpu-architecture=" + architecture, "-lineinfo", "-default-device",
            "--ptxas-options=-v"));
        source.defines().forEach((name, value) -> options.add("-D" + name + "=" + value));
        return options;
    }
}
