package org.respec.engine;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;

/**
 * Writing files and folders so that a crash leaves the old one or the new one, never half of either; removing folders; and telling what
 * is not there from what cannot be seen.
 */
public final class SafeFiles {
    /** What the names of folders that are being written begin with. */
    public static final String WRITING = ".writing-";

    private SafeFiles() {
    }

    /** What writes a file's bytes. */
    public interface Content {
        void writeTo(FileChannel channel) throws IOException;
    }

    /** What puts a folder's files into it, each synced. */
    public interface Filling {
        void into(Path folder) throws IOException;
    }

    /**
     * Fills a temporary folder beside {@code folder}, which then takes its name, and the place of what had it before. One that is not
     * filled to the end keeps a name that begins with {@link #WRITING}, until the next one is written. Folders cannot change places at
     * once: after a crash between the two renames the old one has such a name too, and the next call gives it back its own first.
     */
    public static void writeFolder(Path folder, Filling filling) throws IOException {
        Path parent = folder.toAbsolutePath().getParent();
        Path temporary = parent.resolve(WRITING + folder.getFileName());
        Path before = parent.resolve(WRITING + folder.getFileName() + ".before");
        deleteAll(temporary);
        if (Files.exists(before, LinkOption.NOFOLLOW_LINKS) && !Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            Files.move(before, folder, StandardCopyOption.ATOMIC_MOVE);
        }
        deleteAll(before);
        Files.createDirectory(temporary);
        filling.into(temporary);
        syncFolder(temporary);
        if (Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            Files.move(folder, before, StandardCopyOption.ATOMIC_MOVE);
        }
        Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
        syncFolder(parent);
        deleteAll(before);
    }

    /** Writes a temporary file beside {@code file}, syncs it, renames it, syncs the folder. */
    public static void write(Path file, byte[] bytes) {
        write(file, channel -> writeAll(channel, ByteBuffer.wrap(bytes)));
    }

    /** Writes all that is left of {@code buffer}. */
    public static void writeAll(FileChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    /**
     * The same for files that need not fit memory. A pipe or a device is written to as it is; a link stays, and what it names is
     * replaced.
     */
    public static void write(Path file, Content content) {
        try {
            if (Files.exists(file) && !Files.isRegularFile(file)) {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    content.writeTo(channel);
                }
            } else {
                replace(Files.exists(file) ? file.toRealPath() : file.toAbsolutePath(), content);
            }
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be written (" + Reason.of(e) + "); check space and permissions.", e);
        }
    }

    private static void replace(Path file, Content content) throws IOException {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING)) {
                content.writeTo(channel);
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            Files.deleteIfExists(temporary);
            throw e;
        }
        syncFolder(file.getParent());
    }

    /**
     * Whether there is a file or folder of that name, where a link leads to.
     *
     * @throws BadInput if that cannot be told, for instance because a folder above it may not be entered; {@link Files#exists} calls that
     *     missing
     */
    public static boolean exists(Path path) {
        return attributes(path).isPresent();
    }

    /** Whether it is a file: {@link #exists} and no folder or device. */
    public static boolean isFile(Path path) {
        return attributes(path).filter(BasicFileAttributes::isRegularFile).isPresent();
    }

    /** Whether it is a folder that {@link #exists}. */
    public static boolean isFolder(Path path) {
        return attributes(path).filter(BasicFileAttributes::isDirectory).isPresent();
    }

    private static Optional<BasicFileAttributes> attributes(Path path) {
        try {
            return Optional.of(Files.readAttributes(path, BasicFileAttributes.class));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new BadInput(path + ": it cannot be read (" + Reason.of(e) + "); check the path and its folders' permissions.", e);
        }
    }

    /** Tries whether files can be made in a folder; leaves none. */
    public static void tryFolder(Path folder) throws IOException {
        Files.delete(Files.createTempFile(folder, ".respec", ".tmp"));
    }

    /** Makes renames in a folder last through a power failure. */
    public static void syncFolder(Path folder) throws IOException {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /** Removes a file or a folder with all in it, if it is there; what links name stays. */
    public static void deleteAll(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Files.walkFileTree(path, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path folder, IOException failure) throws IOException {
                if (failure != null) {
                    throw failure;
                }
                Files.delete(folder);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
