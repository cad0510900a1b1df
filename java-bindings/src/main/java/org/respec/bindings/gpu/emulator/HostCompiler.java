package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.respec.bindings.gpu.GpuException;

/** The C++ compiler of this machine. */
final class HostCompiler {
    private static final long SECONDS = 600;
    // No sibling calls: a barrier's return address is where a thread waits.
    private static final List<String> COMMON = List.of("-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-fvisibility=hidden",
        "-fno-exceptions", "-fno-rtti", "-fno-strict-aliasing", "-fno-math-errno", "-fno-plt", "-fno-optimize-sibling-calls",
        "-ffp-contract=off", "-Wl,-z,now");

    private final String command;
    private final String version;
    private final boolean gcc;

    private HostCompiler(String command, String version) {
        this.command = command;
        this.version = version;
        this.gcc = command.equals("g++");
    }

    /**
     * The first of g++ and clang++ that runs.
     *
     * @throws GpuException if there is none, saying what to install
     */
    static HostCompiler find() {
        String system = System.getProperty("os.name") + " on " + System.getProperty("os.arch");
        if (!system.equals("Linux on amd64")) {
            throw new GpuException("the emulator runs on Linux on x86-64 only, and this is " + system);
        }
        for (String command : List.of("g++", "clang++")) {
            try {
                Outcome outcome = run(List.of(command, "--version"), null);
                if (outcome.status() == 0) {
                    return new HostCompiler(command, outcome.output().lines().findFirst().orElse(command));
                }
            } catch (IOException e) {
                // Not installed: try the next.
            }
        }
        throw new GpuException("the emulator needs a C++ compiler to run CUDA kernels on the host, and neither g++ nor clang++ is on the"
            + " path: install one, for instance with 'apt-get install g++'");
    }

    /** First line of what it says of itself: part of what names compiled files. */
    String version() {
        return version;
    }

    /** For people: {@code "g++ 12.2.0"}. */
    String title() {
        return command + " " + version.substring(version.lastIndexOf(' ') + 1);
    }

    /** Options for the runtime that all kernels share. */
    List<String> runtimeFlags() {
        List<String> flags = new ArrayList<>(COMMON);
        flags.addAll(List.of("-Wall", "-pthread", "-ldl"));
        return flags;
    }

    /** Options for kernels. */
    List<String> kernelFlags(boolean wide, boolean checked) {
        List<String> flags = new ArrayList<>(COMMON);
        // With vector instructions of the last ten years, so that fmaf is one instruction; without them it is slow but the same.
        flags.add(wide ? "-march=x86-64-v3" : "-march=x86-64");
        flags.addAll(List.of("-nostartfiles", "-Wall", "-Wno-unknown-pragmas", "-DEMULATED=1", "-Wl,--no-undefined"));
        if (checked) {
            // Only instrumented: the functions that are called are the runtime's. Loops must stay loops of accesses.
            flags.addAll(List.of("-fsanitize=thread,alignment,bounds", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"));
            flags.addAll(gcc ? List.of("--param=tsan-distinguish-volatile=1", "--param=tsan-instrument-func-entry-exit=0",
                "-fno-tree-loop-distribute-patterns") : List.of("-mllvm", "-tsan-distinguish-volatile=1", "-mllvm",
                "-tsan-instrument-func-entry-exit=0"));
        }
        if (gcc) {
            // Else static variables of templates would be shared by all kernels that have such a template.
            flags.add("-fno-gnu-unique");
        }
        return flags;
    }

    /**
     * Compiles and links; returns the warnings.
     *
     * @throws GpuException with the compiler's words if it fails
     */
    String compile(String label, List<String> arguments, Path folder) {
        List<String> line = new ArrayList<>();
        line.add(command);
        line.addAll(arguments);
        Outcome outcome;
        try {
            outcome = run(line, folder);
        } catch (IOException e) {
            throw new GpuException(command + " does not start: " + e.getMessage(), e);
        }
        if (outcome.status() != 0) {
            throw new GpuException(command + " refused " + label + ":\n" + outcome.output());
        }
        return outcome.output();
    }

    record Outcome(int status, String output) {
    }

    /** Runs a program to its end, both outputs together. */
    static Outcome run(List<String> line, Path folder) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(line).redirectErrorStream(true);
        builder.environment().put("LC_ALL", "C");
        if (folder != null) {
            builder.directory(folder.toFile());
        }
        Process process = builder.start();
        process.getOutputStream().close();
        try {
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
                throw new IOException("no end after " + SECONDS + " s");
            }
            return new Outcome(process.exitValue(), output);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            process.destroyForcibly();
        }
    }
}
