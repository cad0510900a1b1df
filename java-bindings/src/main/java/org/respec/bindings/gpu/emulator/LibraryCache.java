package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.respec.bindings.gpu.GpuException;

/**
 * Compiled libraries in a private folder, named by the hash of all that went into them. Each file ends with the hash of what comes
 * before, so one that is damaged or half-written is made anew instead of loaded.
 */
final class LibraryCache {
    private static final int HASH_BYTES = 32;
    private static final int KEY_CHARACTERS = 40;

    private final Path folder;

    LibraryCache(Path folder) {
        this.folder = folder;
        try {
            Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        } catch (IOException e) {
            throw new GpuException("the folder " + folder + " for compiled kernels cannot be made: " + e.getMessage(), e);
        }
    }

    Path folder() {
        return folder;
    }

    /** Makes one library. */
    interface Maker {
        /**
         * Writes the library {@code target}, in a folder of its own that is deleted afterwards; returns what the compiler said.
         */
        String make(Path target) throws IOException;
    }

    /** A library and what the compiler said of it. */
    record Entry(Path file, String log) {
    }

    /** The library made of {@code parts}, from the folder or by {@code maker}. */
    @SuppressWarnings("try")
    Entry get(String name, List<String> parts, Maker maker) {
        String key = name + "-" + HexFormat.of().formatHex(hash(parts)).substring(0, KEY_CHARACTERS);
        Path file = folder.resolve(key + ".so");
        Path log = folder.resolve(key + ".log");
        try {
            if (isWhole(file)) {
                return new Entry(file, readLog(log));
            }
            try (FileChannel channel = FileChannel.open(folder.resolve(key + ".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                    FileLock ignored = lock(channel)) {
                // Another process may have made it while this one waited.
                return isWhole(file) ? new Entry(file, readLog(log)) : make(key, file, log, maker);
            }
        } catch (IOException | UncheckedIOException e) {
            throw new GpuException("the compiled kernel " + file + " cannot be kept: " + e.getMessage(), e);
        }
    }

    private Entry make(String key, Path file, Path log, Maker maker) throws IOException {
        Path work = Files.createTempDirectory(folder, key.substring(0, Math.min(20, key.length())));
        try {
            Path target = work.resolve(key + ".so");
            String text = maker.make(target);
            Files.write(target, hash(Files.readAllBytes(target)), StandardOpenOption.APPEND);
            Path words = Files.writeString(work.resolve(key + ".log"), text);
            Files.move(words, log, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            Files.move(target, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            return new Entry(file, text);
        } finally {
            try (Stream<Path> files = Files.walk(work)) {
                for (Path each : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(each);
                }
            }
        }
    }

    /** Whether a file is there and holds what was written. */
    static boolean isWhole(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            return false;
        }
        byte[] bytes = Files.readAllBytes(file);
        if (bytes.length <= HASH_BYTES) {
            return false;
        }
        int end = bytes.length - HASH_BYTES;
        return Arrays.equals(hash(Arrays.copyOf(bytes, end)), Arrays.copyOfRange(bytes, end, bytes.length));
    }

    private static String readLog(Path log) throws IOException {
        return Files.isRegularFile(log) ? Files.readString(log) : "";
    }

    private static FileLock lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                return channel.lock();
            } catch (OverlappingFileLockException e) {
                // Another thread of this process has it.
                try {
                    Thread.sleep(20);
                } catch (InterruptedException interrupt) {
                    Thread.currentThread().interrupt();
                    throw new IOException("interrupted while another thread compiles", interrupt);
                }
            }
        }
    }

    private static byte[] hash(List<String> parts) {
        MessageDigest digest = sha256();
        for (String part : parts) {
            byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
            // With its length, so that no two lists look alike.
            digest.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
            digest.update(bytes);
        }
        return digest.digest();
    }

    private static byte[] hash(byte[] bytes) {
        return sha256().digest(bytes);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }
}
