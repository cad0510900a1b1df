package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/** A run's folder, held by one process at a time. */
public final class RunFolder implements AutoCloseable {
    private static final String LOCK = ".lock";
    private static final String CONFIG = "config.json";
    private static final String SUMMARY = "summary.json";
    private static final List<String> WRITTEN = List.of(CONFIG, SUMMARY);
    private static final List<String> MODELS = List.of(TrainedModels.ACTOR, TrainedModels.DRAFTER);

    private final Path path;
    private final Path earlier;
    private final FileChannel channel;
    private final FileLock lock;

    private RunFolder(Path path, Path earlier, FileChannel channel, FileLock lock) {
        this.path = path;
        this.earlier = earlier;
        this.channel = channel;
        this.lock = lock;
    }

    /**
     * Makes or takes over a folder. A run that is there already is resumed, or else moved aside, never overwritten.
     *
     * @throws BadInput if another process holds it, it cannot be made, it has no run to resume, or it has files of others that a run would
     *     overwrite
     */
    public static RunFolder open(Path path, boolean resume) {
        boolean run = holdsRun(path);
        check(path, resume);
        try {
            RunFolder folder = take(path, null);
            if (resume || !run) {
                return folder;
            }
            Path aside = free(path);
            Files.move(path, aside);
            folder.close();
            return take(path, aside);
        } catch (IOException e) {
            throw new BadInput(path + ": the run folder cannot be used (" + Reason.of(e) + "); choose another run.dir.", e);
        }
    }

    /**
     * Looks whether {@link #open} may take a folder, and leaves it as it is.
     *
     * @throws BadInput if it has no run to resume, or files of others that a run would overwrite
     */
    static void check(Path path, boolean resume) {
        boolean run = holdsRun(path);
        if (resume && !run && !SafeFiles.exists(path.resolve(LOCK))) {
            throw new BadInput(path + ": there is no run in this folder to resume; start without --resume.");
        }
        if (!run && !SafeFiles.exists(path.resolve(LOCK))) {
            WRITTEN.stream().filter(name -> SafeFiles.exists(path.resolve(name))).findFirst().ifPresent(name -> {
                throw new BadInput(path + ": it has a " + name + " that is no run's and would be overwritten; choose another run.dir.");
            });
        }
        if (!run) {
            MODELS.stream().filter(name -> SafeFiles.exists(path.resolve(name))).findFirst().ifPresent(name -> {
                throw new BadInput(path + ": it has a folder " + name + " that is no run's and would be overwritten; choose another"
                    + " run.dir.");
            });
        }
    }

    private static RunFolder take(Path path, Path earlier) throws IOException {
        Files.createDirectories(path);
        FileChannel channel = FileChannel.open(path.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock lock;
        try {
            lock = channel.tryLock();
        } catch (OverlappingFileLockException e) {
            lock = null;
        }
        if (lock == null) {
            channel.close();
            throw new BadInput(path + ": the run folder is in use by another run; wait for it or choose another run.dir.");
        }
        return new RunFolder(path, earlier, channel, lock);
    }

    private static boolean holdsRun(Path path) {
        return SafeFiles.exists(path.resolve("metrics.jsonl")) || SafeFiles.exists(path.resolve("checkpoints"));
    }

    private static Path free(Path path) {
        for (int i = 1; ; i++) {
            Path candidate = path.resolveSibling(path.getFileName() + "." + i);
            if (!Files.exists(candidate)) {
                return candidate;
            }
        }
    }

    /** The folder itself. */
    public Path path() {
        return path;
    }

    /** Where an earlier run was moved to, or null. */
    public Path earlier() {
        return earlier;
    }

    /** Writes {@code summary.json}. */
    void writeSummary(ObjectNode summary) {
        write(SUMMARY, summary);
    }

    /** Where a run in {@code folder} writes its config. */
    static Path config(Path folder) {
        return folder.resolve(CONFIG);
    }

    /**
     * Writes {@code config.json}: the whole config of the run, defaults and overrides included. Another that is there already is kept as
     * {@code config.1.json} and so on, the oldest first.
     */
    void writeConfig(ObjectNode config) {
        try {
            byte[] before = Files.exists(config(path)) ? Files.readAllBytes(config(path)) : bytes(config);
            if (!Arrays.equals(before, bytes(config))) {
                int number = 1;
                while (Files.exists(path.resolve("config." + number + ".json"))) {
                    number++;
                }
                SafeFiles.write(path.resolve("config." + number + ".json"), before);
            }
        } catch (IOException e) {
            throw new BadInput(config(path) + ": it cannot be read (" + Reason.of(e) + "); check permissions.", e);
        }
        write(CONFIG, config);
    }

    private void write(String name, ObjectNode json) {
        SafeFiles.write(path.resolve(name), bytes(json));
    }

    private static byte[] bytes(ObjectNode json) {
        return (json.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        try {
            lock.release();
            channel.close();
        } catch (IOException e) {
            throw new IllegalStateException(path + ": its lock cannot be released", e);
        }
    }
}
