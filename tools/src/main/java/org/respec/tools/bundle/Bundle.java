package org.respec.tools.bundle;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/**
 * One archive with everything that {@code respec} needs on bare Linux on x86-64: a trimmed Java runtime, the jars with the native
 * libraries of that platform, examples and the bundled model. NVIDIA's libraries are not in it: they are the machine's.
 *
 * <p>It unpacks to one folder, {@value #NAME}, laid out as the source tree where they share files, so that what is written about
 * {@code tools/respec} holds there too. The same inputs give the same bytes.
 */
public final class Bundle {
    static final String NAME = "respec";
    private static final String LAUNCHER = "bin/respec";
    /** What is carried of the source tree. */
    private static final List<String> CARRIED = List.of("LICENSE", "README.md", "tools/bench", "tools/examples", "tools/models");
    /** Jars that users add to the class path; carried where they are, if there are any. */
    private static final String PLUGINS = "tools/plugins";
    private static final int BEST = 9;

    private final Path home;
    private final List<Path> classPath;
    private final int level;

    /**
     * What was written.
     *
     * @param bytes of the archive
     * @param parts bytes by part of the unpacked folder
     */
    public record Report(long bytes, Map<String, Part> parts) {
    }

    /**
     * A part of an archive.
     *
     * @param bytes of its files
     * @param packed of the archive, to a few pages: the compressor holds some back
     */
    public record Part(long bytes, long packed) {
    }

    /**
     * @param home root of the source tree
     * @param classPath jars and folders of classes; those of plugins, and a pattern that names none, are not its own
     */
    public Bundle(Path home, List<Path> classPath) {
        this(home, classPath, BEST);
    }

    /** @param level of compression, 1 to 9 */
    Bundle(Path home, List<Path> classPath, int level) {
        this.home = home;
        this.classPath = classPath.stream().filter(each -> !each.startsWith(home.resolve(PLUGINS))).toList();
        this.level = level;
    }

    /**
     * Makes the archive; a file of that name is replaced when the new one is whole.
     *
     * @throws BadInput if this JDK cannot make a runtime, something to carry is missing, or the file cannot be written
     */
    public Report write(Path output) {
        Path file = output.toAbsolutePath().normalize();
        if (!System.getProperty("os.name").equals("Linux") || !System.getProperty("os.arch").equals("amd64")) {
            throw new BadInput("bundle: it carries the Java runtime that makes it, so it is made on Linux on x86-64, and this is "
                + System.getProperty("os.name") + " on " + System.getProperty("os.arch") + ".");
        }
        if (!SafeFiles.isFolder(file.getParent())) {
            throw new BadInput("--output: the folder of " + output + " does not exist; make it.");
        }
        if (SafeFiles.isFolder(file)) {
            throw new BadInput("--output: " + output + " is a folder; name a file.");
        }
        RuntimeImage.checkPossible();
        try {
            Path work = Files.createTempDirectory("respec-bundle");
            try {
                Path folder = Files.createDirectory(work.resolve(NAME));
                stage(folder);
                return pack(folder, file);
            } finally {
                SafeFiles.deleteAll(work);
            }
        } catch (IOException e) {
            throw new BadInput(output + ": the bundle cannot be made (" + Reason.of(e) + "); check space and permissions there and in "
                + System.getProperty("java.io.tmpdir") + ".", e);
        }
    }

    private void stage(Path folder) throws IOException {
        for (String name : CARRIED) {
            if (!Files.exists(home.resolve(name))) {
                throw new BadInput("bundle: " + home.resolve(name) + " is missing; the source tree is not whole.");
            }
            copy(home.resolve(name), folder.resolve(name));
        }
        if (SafeFiles.isFolder(home.resolve(PLUGINS))) {
            copy(home.resolve(PLUGINS), folder.resolve(PLUGINS));
        }
        Path lib = Files.createDirectory(folder.resolve("lib"));
        Set<String> names = new HashSet<>();
        for (Path each : classPath) {
            String name = jarName(each);
            if (!names.add(name)) {
                throw new BadInput("bundle: the class path has two entries named " + name + "; build the project anew.");
            }
            SlimJar.write(each, lib.resolve(name));
        }
        RuntimeImage.make(lib, folder.resolve("runtime"));
        Path launcher = folder.resolve(LAUNCHER);
        Files.createDirectory(launcher.getParent());
        try (InputStream in = Bundle.class.getResourceAsStream("respec")) {
            Files.copy(in, launcher);
        }
        Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwxr-xr-x"));
        Files.createSymbolicLink(folder.resolve("tools/respec"), Path.of("../" + LAUNCHER));
    }

    /** A jar's own name; for a module's folder of classes, {@code engine/target/classes}, that of the module. */
    private static String jarName(Path of) {
        if (!Files.isDirectory(of)) {
            return of.getFileName().toString();
        }
        Path target = of.toAbsolutePath().normalize().getParent();
        return target.getParent().getFileName() + ".jar";
    }

    private Report pack(Path folder, Path file) throws IOException {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        Map<String, Part> parts;
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING)) {
                OutputStream out = Channels.newOutputStream(channel);
                parts = TarGz.write(folder, new Unclosed(out), level);
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
        SafeFiles.syncFolder(file.getParent());
        return new Report(Files.size(file), parts);
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        List<Path> paths = new ArrayList<>();
        Files.walkFileTree(from, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                paths.add(file);
                return FileVisitResult.CONTINUE;
            }
        });
        for (Path path : paths) {
            Path target = path.equals(from) ? to : to.resolve(from.relativize(path));
            Files.createDirectories(target.getParent());
            Files.copy(path, target, StandardCopyOption.COPY_ATTRIBUTES);
        }
    }

    /** Leaves closing to the channel's owner, who must sync first. */
    private static final class Unclosed extends java.io.FilterOutputStream {
        Unclosed(OutputStream out) {
            super(out);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
        }

        @Override
        public void close() throws IOException {
            flush();
        }
    }
}
