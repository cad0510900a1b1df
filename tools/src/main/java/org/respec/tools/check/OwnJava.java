package org.respec.tools.check;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Command lines that run a class of this program in another process, as this one is run. */
public final class OwnJava {
    private OwnJava() {
    }

    /** The command that runs {@code mainClass} with the flags that the launchers give. */
    public static List<String> command(String mainClass, List<String> arguments) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true", "--add-modules", "jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED", "-XX:PerMethodRecompilationCutoff=10000", "-XX:PerBytecodeRecompilationCutoff=10000",
            "-XX:CompileCommand=quiet", "-XX:CompileCommand=CompileThresholdScaling,org.respec.engine.speculation.*::*,0.02",
            "-Duser.home=" + System.getProperty("user.home")));
        String home = System.getProperty("respec.home");
        if (home != null) {
            command.add("-Drespec.home=" + home);
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), mainClass));
        command.addAll(arguments);
        return command;
    }
}
