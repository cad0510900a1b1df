package org.respec.bindings.nvrtc;

import java.util.Collections;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import jcuda.CudaException;
import jcuda.nvrtc.JNvrtc;
import jcuda.nvrtc.nvrtcProgram;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.JcudaNatives;
import org.respec.bindings.nativelib.NativeLibrary;

/** NVRTC of CUDA 12, through JCuda. */
public final class JnvrtcCompiler implements KernelCompiler {
    private final NativeLibrary library;
    private final int major;
    private final int minor;
    private final SortedSet<Integer> capabilities = new TreeSet<>();

    private JnvrtcCompiler(NativeLibrary library) {
        this.library = library;
        int[] upper = new int[1];
        int[] lower = new int[1];
        int[] count = new int[1];
        JNvrtc.nvrtcVersion(upper, lower);
        JNvrtc.nvrtcGetNumSupportedArchs(count);
        int[] known = new int[count[0]];
        JNvrtc.nvrtcGetSupportedArchs(known);
        for (int capability : known) {
            capabilities.add(capability);
        }
        major = upper[0];
        minor = lower[0];
    }

    /** The compiler; {@link GpuException} if this machine has no NVRTC of CUDA 12. */
    public static JnvrtcCompiler open(CudaLibraries libraries) {
        return new JnvrtcCompiler(JcudaNatives.nvrtc(libraries));
    }

    @Override
    public String version() {
        return "NVRTC " + major + "." + minor;
    }

    @Override
    public int major() {
        return major;
    }

    @Override
    public String origin() {
        return library.file() + " through JCuda";
    }

    @Override
    public SortedSet<Integer> capabilities() {
        return Collections.unmodifiableSortedSet(capabilities);
    }

    @Override
    public KernelImage compile(KernelSource source, String architecture) {
        Architectures.checkKnown(this, architecture);
        nvrtcProgram program = new nvrtcProgram();
        String[] names = source.headers().keySet().toArray(String[]::new);
        String[] texts = source.headers().values().toArray(String[]::new);
        try {
            JNvrtc.nvrtcCreateProgram(program, source.text(), source.name(), names.length, texts, names);
        } catch (CudaException e) {
            throw Outcomes.failure(this, source, architecture, e.getMessage(), "the program was refused before it was read");
        }
        try {
            return compile(program, source, architecture);
        } finally {
            JNvrtc.nvrtcDestroyProgram(program);
        }
    }

    private KernelImage compile(nvrtcProgram program, KernelSource source, String architecture) {
        List<String> options = CompileOptions.of(source, architecture);
        try {
            JNvrtc.nvrtcCompileProgram(program, options.size(), options.toArray(String[]::new));
        } catch (CudaException e) {
            // The exception has the error's name alone; what is wrong is in the log.
            throw Outcomes.failure(this, source, architecture, e.getMessage(), log(program));
        }
        long[] size = new long[1];
        JNvrtc.nvrtcGetCUBINSize(program, size);
        byte[] cubin = new byte[Math.toIntExact(size[0])];
        JNvrtc.nvrtcGetCUBIN(program, cubin);
        return Outcomes.success(this, source, cubin, log(program));
    }

    private static String log(nvrtcProgram program) {
        String[] log = new String[1];
        JNvrtc.nvrtcGetProgramLog(program, log);
        return log[0] == null ? "" : log[0];
    }
}
