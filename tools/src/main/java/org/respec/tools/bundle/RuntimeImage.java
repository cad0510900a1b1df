package org.respec.tools.bundle;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.respec.engine.BadInput;

/** A Java runtime of the JDK that runs this, cut down to the modules that a set of jars needs. */
final class RuntimeImage {
    /** Modules that libraries name but do without, each for something that is never asked of them: images, beans, databases. */
    private static final Set<String> DONE_WITHOUT = Set.of("java.desktop", "java.sql", "java.compiler", "java.rmi");
    /** Modules that no class file names: the Vector API by our flags, and Unsafe by reflection. */
    private static final Set<String> BY_NAME = Set.of("jdk.incubator.vector", "jdk.unsupported", "java.logging", "java.management",
        "java.xml");

    private RuntimeImage() {
    }

    /** Refuses a Java runtime that cannot make one. */
    static void checkPossible() {
        for (String tool : List.of("jdeps", "jlink")) {
            if (ToolProvider.findFirst(tool).isEmpty()) {
                throw new BadInput("bundle: the Java runtime in " + System.getProperty("java.home") + " has no " + tool
                    + "; run tools/respec with a whole JDK 25.");
            }
        }
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

    private static String run(String tool, List<String> arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int code = ToolProvider.findFirst(tool).orElseThrow().run(new PrintWriter(out, true), new PrintWriter(err, true),
            arguments.toArray(String[]::new));
        if (code != 0) {
            String said = (out + "\n" + err).lines().filter(line -> !line.isBlank() && !line.startsWith("WARNING")).findFirst()
                .orElse("exit code " + code);
            throw new BadInput("bundle: " + tool + " of the JDK in " + System.getProperty("java.home") + " failed (" + said
                + "); is the JDK whole?");
        }
        return out.toString();
    }
}
