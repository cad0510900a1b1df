package org.respec.bindings.nvrtc;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.respec.bindings.gpu.KernelSource;

/** Sources to compile in tests. */
final class Sources {
    private Sources() {
    }

    /** A kernel with a header, a definition and static shared memory. */
    static KernelSource sum(int factor) {
        return new KernelSource("sum.cu", """
            #include "types.cuh"
            struct SumArgs { const real* x; real* out; int n; };
            extern "C" __global__ void sum(const __grid_constant__ SumArgs a) {
                __shared__ real part[64];
                real mine = 0;
                for (int i = threadIdx.x; i < a.n; i += 64) mine += a.x[i] * FACTOR;
                part[threadIdx.x] = mine;
                __syncthreads();
                if (threadIdx.x == 0) {
                    for (int i = 1; i < 64; i++) mine += part[i];
                    *a.out = mine;
                }
            }
            extern "C" __global__ void zero(const __grid_constant__ SumArgs a) { *a.out = 0; }
            """, new TreeMap<>(Map.of("types.cuh", "typedef float real;\n", "unused.cuh", "#error not included\n")),
            new TreeMap<>(Map.of("FACTOR", String.valueOf(factor))), List.of("sum", "zero"));
    }

    /** The same with no headers at all. */
    static KernelSource bare() {
        return new KernelSource("bare.cu",
            "struct A { float* x; };\nextern \"C\" __global__ void bare(const __grid_constant__ A a) { *a.x = 1; }\n",
            new TreeMap<>(), new TreeMap<>(), List.of("bare"));
    }

    static KernelSource broken() {
        KernelSource sum = sum(1);
        return new KernelSource("broken.cu", sum.text().replace("mine += part[i];", "mine += part[j];"), sum.headers(), sum.defines(),
            sum.entries());
    }
}
