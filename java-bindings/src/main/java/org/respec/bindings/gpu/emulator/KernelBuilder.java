package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;

/** Compiles CUDA text into shared libraries of the host. */
final class KernelBuilder {
    private static final String SHIM = "cuda_shim.h";
    private static final Pattern DYNAMIC_SHARED = Pattern.compile("\\bextern\\s+__shared__\\s+([^;]*?\\[\\s*\\])\\s*;");

    private final HostCompiler compiler;
    private final LibraryCache cache;
    private final EmulatorRuntime runtime;
    private final List<String> flags;
    private final String shim = EmulatorRuntime.resource(SHIM);

    KernelBuilder(HostCompiler compiler, LibraryCache cache, EmulatorRuntime runtime, boolean checked) {
        this.compiler = compiler;
        this.cache = cache;
        this.runtime = runtime;
        this.flags = compiler.kernelFlags(hasFma(), checked);
    }

    /** Whether the processor has AVX2 and FMA. */
    private static boolean hasFma() {
        try {
            String flags = Files.readString(Path.of("/proc/cpuinfo"));
            return flags.contains(" avx2 ") && flags.contains(" fma ") && flags.contains(" bmi2 ");
        } catch (IOException e) {
            return false;
        }
    }

    KernelImage compile(KernelSource source) {
        List<String> parts = new ArrayList<>(List.of(compiler.version(), String.join(" ", flags), shim,
            runtime.file().getFileName().toString(), source.name(), source.text()));
        source.headers().forEach((name, text) -> parts.addAll(List.of("header", name, text)));
        source.defines().forEach((name, value) -> parts.addAll(List.of("define", name, value)));
        parts.addAll(source.entries());
        String stem = source.name().replaceAll("\\.[^.]*$", "").replaceAll("[^A-Za-z0-9_-]", "_");
        LibraryCache.Entry entry = cache.get(stem, parts, target -> make(source, target));
        return new KernelImage(source.label(), entry.file().toString().getBytes(StandardCharsets.UTF_8), entry.log());
    }

    private String make(KernelSource source, Path target) throws IOException {
        Path folder = target.getParent();
        Files.writeString(folder.resolve(SHIM), shim);
        for (Map.Entry<String, String> header : source.headers().entrySet()) {
            write(folder, header.getKey(), header.getValue());
        }
        StringBuilder text = new StringBuilder(source.text());
        text.append("\n#line 1 \"entries\"\n");
        source.entries().forEach(name -> text.append("EMU_KERNEL(").append(name).append(")\n"));
        write(folder, source.name(), text.toString());
        List<String> arguments = new ArrayList<>(flags);
        source.defines().forEach((name, value) -> arguments.add("-D" + name + "=" + value));
        arguments.addAll(List.of("-include", SHIM, "-I.", "-x", "c++", source.name(), "-x", "none", runtime.file().toString(),
            "-nodefaultlibs", "-lm", "-lc", "-lgcc", "-Wl,-rpath,$ORIGIN", "-o", target.getFileName().toString()));
        return compiler.compile(source.label(), arguments, folder);
    }

    private static void write(Path folder, String name, String text) throws IOException {
        Path file = folder.resolve(name).normalize();
        if (!file.startsWith(folder)) {
            throw new IOException("the file name " + name + " leads out of its folder");
        }
        Files.createDirectories(file.getParent());
        Files.writeString(file, withoutExternShared(text));
    }

    /** Gives arrays of dynamic shared memory the name of the one place where the runtime has it. Lines stay where they are. */
    private static String withoutExternShared(String text) {
        return DYNAMIC_SHARED.matcher(text).replaceAll("extern $1 __asm__(\"emu_dynamic_shared\");");
    }
}
