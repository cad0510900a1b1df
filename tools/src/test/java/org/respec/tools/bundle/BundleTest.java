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
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;

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

    /** A source tree that is built, of links to what the bundle carries, and its launcher: {@code tools/respec}. */
    private static Path sourceTree() throws IOException {
        Path home = folder.resolve("source tree");
        Path launcher = home.resolve("tools/respec");
        if (Files.exists(launcher)) {
            return launcher;
        }
        Files.createDirectories(home.resolve("tools/src/main"));
        for (String module : List.of("java-bindings", "kernels", "engine")) {
            Files.createDirectories(home.resolve(module).resolve("src/main"));
            Files.createFile(home.resolve(module).resolve("pom.xml"));
        }
        Files.createFile(home.resolve("pom.xml"));
        Files.createFile(home.resolve("tools/pom.xml"));
        Path target = Files.createDirectory(home.resolve("tools/target"));
        Files.createSymbolicLink(target.resolve("lib"), unpacked.resolve("respec/lib"));
        for (String name : List.of("examples", "models")) {
            Files.createSymbolicLink(home.resolve("tools").resolve(name), unpacked.resolve("respec/tools").resolve(name));
        }
        Files.copy(Path.of("respec"), launcher, StandardCopyOption.COPY_ATTRIBUTES);
        Files.setLastModifiedTime(Files.createFile(target.resolve(".built")), FileTime.from(Instant.now().plusSeconds(60)));
        return launcher;
    }

    private static Path bundled() {
        return unpacked.resolve("respec/bin/respec");
    }

    /** The machine's programs, this Java first, and nothing else: no home folder, no locale. */
    private static Map<String, String> noHome() {
        return Map.of("PATH", Path.of(System.getProperty("java.home"), "bin") + ":/usr/bin:/bin");
    }

    private static Map<String, String> with(Map<String, String> environment, String name, String value) {
        Map<String, String> all = new TreeMap<>(environment);
        all.put(name, value);
        return all;
    }

    @Test
    void noHomeFolderIsNeededToFindJava() throws IOException, InterruptedException {
        Path programs = Files.createDirectory(folder.resolve("without java"));
        for (String name : List.of("bash", "dirname", "readlink", "grep", "find", "mkdir")) {
            Path usual = Files.exists(Path.of("/usr/bin", name)) ? Path.of("/usr/bin", name) : Path.of("/bin", name);
            Files.copy(usual, programs.resolve(name), StandardCopyOption.COPY_ATTRIBUTES);
        }
        Outcome outcome = run(folder, Map.of("PATH", programs.toString()), sourceTree().toString(), "--version");
        if (outcome.code == 2) {
            assertTrue(outcome.err.startsWith("respec: no JDK 25 was found") && outcome.err.lines().count() == 1, outcome.err);
        } else {
            assertEquals(0, outcome.code, outcome.err);
            assertTrue(outcome.out.startsWith("respec "), outcome.out);
        }
        outcome = run(folder, noHome(), sourceTree().toString(), "--version");
        assertEquals(0, outcome.code, outcome.err);
    }

    /** Names that are not ASCII come from a script, for this Java's own locale may have none. */
    @Test
    void namesAreUtf8WhateverTheLocaleIs() throws IOException, InterruptedException {
        Path config = unpacked.resolve("respec/tools/examples/quickstart.yaml");
        Path script = Files.writeString(folder.resolve("names.sh"), """
            set -eu
            cd "$2"
            mkdir 'käse'
            echo 'cells: not JSON' >'käse/profil.json'
            code=0
            "$1" plan --profile 'käse/profil.json' --batch 4 || code=$?
            [ $code = 2 ]
            "$1" train "$3" run.device=cpu 'run.dir=käse/läufe' train.iterations=1 train.prompts_per_iteration=1 train.group_size=2 \\
              train.mini_batches=1 eval.problems=0 rollout.max_tokens=8 speculation.mode=off distill.enabled=false
            [ -f 'käse/läufe/summary.json' ]
            """);
        int number = 0;
        // The second names a locale that no machine has, which is as good as none.
        for (Map<String, String> environment : List.of(with(bare(), "LC_CTYPE", "POSIX"), with(noHome(), "LANG", "xx_XX.UTF-8"))) {
            Path launcher = environment.containsKey("HOME") ? bundled() : sourceTree();
            Path here = Files.createDirectory(folder.resolve("names " + number++));
            Outcome outcome = run(folder, environment, "/bin/sh", script.toString(), launcher.toString(), here.toString(),
                config.toString());
            assertEquals(0, outcome.code, environment + outcome.err);
            assertTrue(outcome.err.contains("respec: käse/profil.json: "), environment + outcome.err);
            assertTrue(outcome.out.contains("käse/läufe"), environment + outcome.out);
        }
        // Without the launcher: what the locale cannot name is said in a sentence.
        Path bad = Files.writeString(folder.resolve("bad.sh"), "exec \"$1\" -cp \"$2/*\" --add-modules jdk.incubator.vector"
            + " --enable-native-access=ALL-UNNAMED org.respec.tools.cli.Main train \"$3\" run.dir=läufe\n");
        Outcome outcome = run(folder, with(bare(), "LC_ALL", "POSIX"), "/bin/sh", bad.toString(),
            unpacked.resolve("respec/runtime/bin/java").toString(), unpacked.resolve("respec/lib").toString(), config.toString());
        assertEquals(2, outcome.code, outcome.err);
        assertTrue(outcome.err.contains("command line: run.dir cannot be a path here: ") && outcome.err.contains("LC_ALL=C.UTF-8."),
            outcome.err);
    }

    /** A jar with a reward function that gives every response the same. */
    private static void plugin(Path jar) throws IOException {
        Path work = Files.createTempDirectory(folder, "plugin");
        Path source = Files.writeString(work.resolve("Praise.java"), """
            package extra;
            import org.respec.engine.task.*;
            public final class Praise implements RewardFunction {
                public String name() { return "praise"; }
                public double reward(Problem problem, String response) { return 0.625; }
            }
            """);
        // By verify jars have versions in their names.
        String classPath = String.join(File.pathSeparator, new TreeSet<>(List.of(unpacked.resolve("respec/lib").toFile().list())).stream()
            .map(name -> unpacked.resolve("respec/lib").resolve(name).toString()).toList());
        assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-cp", classPath, "-d", work.toString(),
            source.toString()));
        Files.createDirectories(jar.getParent());
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            out.putNextEntry(new JarEntry("extra/Praise.class"));
            Files.copy(work.resolve("extra/Praise.class"), out);
            out.putNextEntry(new JarEntry("META-INF/services/org.respec.engine.task.RewardFunction"));
            out.write("extra.Praise\n".getBytes(StandardCharsets.UTF_8));
        }
    }

    @Test
    void jarsInTheFolderOfPluginsAreFound() throws IOException, InterruptedException {
        for (Path launcher : List.of(bundled(), sourceTree())) {
            Path home = launcher.getParent().getParent();
            Path run = folder.resolve(home.getFileName() + " praise");
            String[] command = {launcher.toString(), "train", home.resolve("tools/examples/quickstart.yaml").toString(),
                "task.reward=praise", "run.device=cpu", "run.dir=" + run, "train.iterations=1", "train.prompts_per_iteration=1",
                "train.group_size=2", "train.mini_batches=1", "eval.problems=0", "speculation.mode=off", "distill.enabled=false"};
            Outcome without = run(folder, noHome(), command);
            assertEquals(2, without.code, without.err);
            assertTrue(without.err.endsWith("'praise'; found were arithmetic; the jar of another goes into tools/plugins.\n"), without.err);
            Path plugins = home.resolve("tools/plugins");
            plugin(plugins.resolve("praise.jar"));
            try {
                Outcome outcome = run(folder, noHome(), command);
                assertEquals(0, outcome.code, outcome.err);
                JsonNode metrics = new JsonMapper().readTree(Files.readAllLines(run.resolve("metrics.jsonl")).getFirst());
                // A response that is cut earns nothing, whatever the function says.
                double whole = 1 - metrics.at("/response_length/cut").doubleValue();
                assertTrue(whole > 0, metrics.toString());
                assertEquals(0.625 * whole, metrics.path("reward").doubleValue(), 1e-9, metrics.toString());
            } finally {
                SafeFiles.deleteAll(plugins);
            }
        }
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
