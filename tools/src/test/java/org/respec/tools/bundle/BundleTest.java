package org.respec.tools.bundle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;

/** The bundle, unpacked and run with nothing of this machine but its loader, a shell and five small programs. */
class BundleTest {
    private static final List<String> PROGRAMS = List.of("dirname", "id", "mkdir", "readlink", "uname");

    @TempDir
    private static Path folder;

    private static Path archive;
    private static Bundle.Report report;
    /** Its name has a space, and so has everything under it. */
    private static Path unpacked;

    private record Outcome(int code, String out, String err) {
    }

    private static Bundle bundle() throws IOException {
        // Written by the build: what the tools need at run time, without what only tests need.
        List<Path> classPath = new ArrayList<>(List.of(Path.of("target", "classes").toAbsolutePath()));
        Arrays.stream(Files.readString(Path.of("target", "runtime.classpath")).strip().split(File.pathSeparator)).map(Path::of)
            .forEach(classPath::add);
        return new Bundle(Path.of("..").toAbsolutePath().normalize(), classPath, 1);
    }

    @BeforeAll
    static void make() throws IOException, InterruptedException {
        try {
            RuntimeImage.checkPossible();
        } catch (BadInput e) {
            assumeTrue(false, e.getMessage());
        }
        archive = folder.resolve("bundle.tar.gz");
        report = bundle().write(archive);
        unpacked = Files.createDirectories(folder.resolve("un packed"));
        assertEquals(0, run(folder, Map.of("PATH", "/usr/bin:/bin"), "tar", "xf", archive.toString(), "-C", unpacked.toString()).code);
    }

    private static Outcome run(Path where, Map<String, String> environment, String... command) throws IOException, InterruptedException {
        Path out = Files.createTempFile(folder, "out", ".txt");
        Path err = Files.createTempFile(folder, "err", ".txt");
        ProcessBuilder builder = new ProcessBuilder(command).directory(where.toFile()).redirectOutput(out.toFile())
            .redirectError(err.toFile());
        builder.environment().clear();
        builder.environment().putAll(environment);
        Process process = builder.start();
        try {
            assertTrue(process.waitFor(120, TimeUnit.SECONDS), () -> String.join(" ", command) + " did not end");
        } finally {
            process.destroyForcibly();
        }
        return new Outcome(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    /** An environment with the programs that the launcher calls, a home folder, and no Java. */
    private static Map<String, String> bare() throws IOException {
        Path programs = folder.resolve("programs");
        if (!Files.exists(programs)) {
            Files.createDirectory(programs);
            for (String name : PROGRAMS) {
                Path usual = Files.exists(Path.of("/usr/bin", name)) ? Path.of("/usr/bin", name) : Path.of("/bin", name);
                Files.copy(usual, programs.resolve(name), StandardCopyOption.COPY_ATTRIBUTES);
            }
            Files.createDirectory(folder.resolve("home"));
        }
        return Map.of("PATH", programs.toString(), "HOME", folder.resolve("home").toString());
    }

    private static Map<String, String> contents(Path of) throws IOException {
        Map<String, String> found = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(of)) {
            for (Path path : paths.toList()) {
                found.put(of.relativize(path).toString(), Files.getLastModifiedTime(path, LinkOption.NOFOLLOW_LINKS) + " "
                    + (Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS) ? Files.size(path) : 0));
            }
        }
        return found;
    }

    @Test
    void runsAloneAndLeavesItsFolderAsItWas() throws IOException, InterruptedException {
        Path home = unpacked.resolve("respec");
        Map<String, String> before = contents(home);
        Path link = Files.createSymbolicLink(folder.resolve("link"), home.resolve("bin").resolve("respec"));
        Path elsewhere = Files.createDirectory(folder.resolve("else where"));

        Outcome doctor = run(elsewhere, bare(), home.resolve("bin/respec").toString(), "doctor", "--json");
        assertEquals(0, doctor.code, doctor.err);
        assertTrue(new JsonMapper().readTree(doctor.out).path("findings").size() > 3, doctor.out);

        // Through two links, one of them relative.
        Path second = Files.createSymbolicLink(elsewhere.resolve("second"), Path.of("..", link.getFileName().toString()));
        Outcome drawn = run(elsewhere, bare(), second.toString(), "generate", "--model",
            home.resolve("tools/models/arithmetic/actor").toString(),
            "--drafter", home.resolve("tools/models/arithmetic/drafter").toString(), "--prompt", "12+34-5=", "--seed", "3", "--device",
            "cpu",
            "--json");
        assertEquals(0, drawn.code, drawn.err);
        JsonNode response = new JsonMapper().readTree(drawn.out);
        assertTrue(response.path("text").textValue().startsWith("12+34="), drawn.out);
        assertEquals(response.path("tokens").size(), response.path("log_probs").size());

        // By a relative path, with the example that the documents name.
        Outcome trained = run(home, bare(), "tools/respec", "train", "tools/examples/quickstart.yaml", "run.device=cpu",
            "run.dir=" + elsewhere.resolve("run"), "train.iterations=2", "train.prompts_per_iteration=4", "train.group_size=2",
            "train.mini_batches=1", "eval.problems=4", "rollout.max_tokens=24");
        assertEquals(0, trained.code, trained.err);
        JsonNode summary = new JsonMapper().readTree(elsewhere.resolve("run").resolve("summary.json").toFile());
        assertTrue(summary.at("/rollout/tokens").longValue() > 0, summary.toString());
        assertEquals(2, Files.readAllLines(elsewhere.resolve("run").resolve("metrics.jsonl")).size());

        assertEquals(before, contents(home));
        assertTrue(Files.isDirectory(folder.resolve("home/.cache/respec/natives")), "native libraries go to the user's cache");
    }

    @Test
    void sameInputsGiveTheSameBytes() throws IOException {
        Path again = folder.resolve("again.tar.gz");
        bundle().write(again);
        assertEquals(-1, Files.mismatch(archive, again));
        Files.delete(again);
    }

    @Test
    void carriesWhatItNeedsAndNoMore() throws IOException {
        Path home = unpacked.resolve("respec");
        assertEquals(report.bytes(), Files.size(archive));
        // At the test's quick level it is a tenth larger than the one a user makes, which may have 60 MB.
        assertTrue(report.bytes() < 64_000_000, report.bytes() + " bytes");
        assertTrue(report.parts().keySet().containsAll(List.of("bin", "lib", "runtime", "tools")), report.toString());
        assertTrue(Files.isExecutable(home.resolve("bin/respec")) && Files.isExecutable(home.resolve("runtime/bin/java")));
        assertFalse(Files.exists(home.resolve("runtime/include")) || Files.exists(home.resolve("runtime/man")));
        try (Stream<Path> jars = Files.list(home.resolve("lib"))) {
            List<String> names = jars.map(jar -> jar.getFileName().toString()).toList();
            assertTrue(names.stream().noneMatch(name -> name.matches("(junit|archunit|pytorch|cuda-redist).*")), names.toString());
        }
    }

    /** What the two launchers tell Java before the class path. */
    private static List<String> flags(Path launcher) throws IOException {
        String text = Files.readString(launcher);
        return Arrays.stream(text.substring(text.lastIndexOf("bin/java\"") + 9, text.indexOf("-cp")).split("[\\s\\\\]+"))
            .filter(flag -> flag.length() > 0 && !flag.startsWith("-Drespec.home=") && !flag.startsWith("-Duser.home=")).toList();
    }

    @Test
    void javaRunsAsItDoesInTheSourceTree() throws IOException {
        List<String> flags = flags(Path.of("respec"));
        assertTrue(flags.contains("jdk.incubator.vector"), flags.toString());
        assertEquals(flags, flags(unpacked.resolve("respec/bin/respec")));
    }

    @Test
    void launcherNamesWhatIsWrong() throws IOException, InterruptedException {
        Path broken = Files.createDirectories(folder.resolve("broken/bin"));
        Files.copy(unpacked.resolve("respec/bin/respec"), broken.resolve("respec"));
        Outcome outcome = run(folder, bare(), broken.resolve("respec").toString(), "doctor");
        assertEquals(2, outcome.code);
        assertTrue(outcome.err.contains("unpack the bundle again") && outcome.err.lines().count() == 1, outcome.err);
        Path colon = Files.createDirectories(folder.resolve("a:b/bin"));
        Files.copy(unpacked.resolve("respec/bin/respec"), colon.resolve("respec"));
        outcome = run(folder, bare(), colon.resolve("respec").toString(), "doctor");
        assertEquals(2, outcome.code);
        assertTrue(outcome.err.contains("colon") && outcome.err.lines().count() == 1, outcome.err);
    }

    @Test
    void badOutputIsNamed() throws IOException {
        Bundle bundle = bundle();
        assertTrue(assertThrows(BadInput.class,
            () -> bundle.write(folder.resolve("none/x.tar.gz"))).getMessage().contains("does not exist"));
        assertTrue(assertThrows(BadInput.class, () -> bundle.write(folder)).getMessage().contains("is a folder"));
        Bundle homeless = new Bundle(folder, List.of(), 1);
        assertTrue(assertThrows(BadInput.class,
            () -> homeless.write(folder.resolve("x.tar.gz"))).getMessage().contains("LICENSE is missing"));
        assertFalse(Files.exists(folder.resolve("x.tar.gz")) || Files.exists(folder.resolve("x.tar.gz.tmp")));
    }
}
