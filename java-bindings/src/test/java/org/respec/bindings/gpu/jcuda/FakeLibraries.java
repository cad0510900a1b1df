package org.respec.bindings.gpu.jcuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Builds stand-ins for NVIDIA's libraries from C, so that what is said to a GPU is tested where there is none. */
public final class FakeLibraries {
    private FakeLibraries() {
    }

    /** A C compiler of this machine, or null. */
    public static Path compiler() {
        String path = System.getenv("PATH");
        return path == null ? null : Arrays.stream(path.split(":")).flatMap(folder -> List.of("gcc", "cc", "clang").stream()
            .map(name -> Path.of(folder, name))).filter(Files::isExecutable).findFirst().orElse(null);
    }

    /**
     * Builds a library.
     *
     * @param source name of a file beside this class's resources, for instance {@code cuda.c}
     * @param version symbol version that all functions get; null for none
     */
    public static void build(String source, Path folder, String soname, String version) throws IOException, InterruptedException {
        Path text = folder.resolve(soname + ".c");
        try (InputStream in = FakeLibraries.class.getResourceAsStream("/org/respec/bindings/fake/" + source)) {
            Files.write(text, in.readAllBytes());
        }
        List<String> command = new ArrayList<>(List.of(compiler().toString(), "-shared", "-fPIC", "-O1", "-w", "-Wl,-soname," + soname,
            "-o",
            folder.resolve(soname).toString(), text.toString()));
        if (version != null) {
            Path script = folder.resolve(soname + ".map");
            Files.writeString(script, version + " { global: *; };\n");
            command.add("-Wl,--version-script=" + script);
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new IllegalStateException("the C compiler says: " + said);
        }
    }
}
