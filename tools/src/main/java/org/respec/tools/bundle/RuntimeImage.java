package org.respec.tools.bundle;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.respec.engine.BadInput;

/** A Java runtime of the JDK that runs this, cut down to the modules that a set of jars needs. */
final class RuntimeImage {
    /** Modules that libraries name but do without: of a bundle, only plots would need the first, which would take it past 60 MB. */
    private static final Set<String> DONE_WITHOUT = Set.of("java.desktop", "java.sql", "java.compiler", "java.rmi");
    /** Modules that no class file names: the Vector API by our flags, and Unsafe by reflection. */
    private static final Set<String> BY_NAME = Set.of("jdk.incubator.vector", "jdk.unsupported", "java.logging", "java.management",
        "java.xml");

    private RuntimeImage() {
    }

    /** Refuses a Java runtime that cannot make one. */
    static void checkPossible() {
        for (String tool : List.of("jdeps", "jlink")) {
            if (!Files.isExecutable(program(tool))) {
                throw new BadInput("bundle: the Java runtime in " + System.getProperty("java.home") + " has no " + tool
                    + "; run tools/respec with a whole JDK 25.");
            }
        }
    }

    private static Path program(String name) {
        return Path.of(System.getProperty("java.home"), "bin", name);
    }

    /** Makes the folder {@code target} with what the jars of the folder {@code lib} need. */
    static void make(Path lib, Path target) throws IOException {
        Set<String> modules = modules(lib);
        run("jlink", List.of("--add-modules", String.join(",", modules), "--strip-java-debug-attributes", "--no-man-pages",
            "--no-header-files", "--compress", "zip-0", "--vm", "server", "--output", target.toString()));
        // Of the programs only java is of use here.
        try (Stream<Path> programs = Files.list(target.resolve("bin"))) {
            for (Path program : programs.filter(p -> !p.getFileName().toString().equals("java")).toList()) {
                Files.delete(program);
            }
        }
    }

    private static Set<String> modules(Path lib) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("--multi-release", "25", "--ignore-missing-deps", "--print-module-deps"));
        arguments.addAll(List.of("--class-path", lib + "/*"));
        try (Stream<Path> jars = Files.list(lib)) {
            jars.map(Path::toString).sorted().forEach(arguments::add);
        }
        Set<String> modules = new TreeSet<>(BY_NAME);
        for (String module : run("jdeps", arguments).strip().split(",")) {
            if (!DONE_WITHOUT.contains(module)) {
                modules.add(module);
            }
        }
        return modules;
    }

    /** In a process of its own: called a second time in one process, jlink numbers what it generates from another start. */
    private static String run(String tool, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(program(tool).toString()));
        command.addAll(arguments);
        Path err = Files.createTempFile("respec-" + tool, ".txt");
        try {
            Process process = new ProcessBuilder(command).redirectError(err.toFile()).start();
            String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = process.waitFor();
            if (code != 0) {
                String said = (out + "\n" + Files.readString(err)).lines().filter(line -> !line.isBlank() && !line.startsWith("WARNING"))
                    .findFirst().orElse("exit code " + code);
                throw new BadInput("bundle: " + tool + " of the JDK in " + System.getProperty("java.home") + " failed (" + said
                    + "); is the JDK whole?");
            }
            return out;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(tool + " was interrupted", e);
        } finally {
            Files.deleteIfExists(err);
        }
    }
}
