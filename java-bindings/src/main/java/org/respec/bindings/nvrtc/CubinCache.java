package org.respec.bindings.nvrtc;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;
import org.respec.bindings.nativelib.PrivateFolder;

/**
 * Cubins on disk, named by the hash of all that they depend on: source, headers, definitions, entries, options, architecture and
 * compiler. Threads and processes that want the same one wait for the first to compile it. A file holds a hash of its contents; one
 * that was damaged is compiled anew.
 *
 * <p>File: 8 bytes {@link #MAGIC}, SHA-256 of the rest, length of the log (int), log in UTF-8, cubin.
 */
public final class CubinCache {
    private static final byte[] MAGIC = "RSPCUB1\n".getBytes(StandardCharsets.US_ASCII);
    private static final int HASH = 32;
    private static final int HEADER = 8 + HASH + 4;
    private static final long RETRY_NANOS = 5_000_000;

    private final Path folder;
    private final Map<String, Object> inProcess = new ConcurrentHashMap<>();

    /** @throws GpuException if the folder cannot be made or is another user's */
    public CubinCache(Path folder) {
        try {
            this.folder = PrivateFolder.create(folder);
        } catch (IOException e) {
            throw new GpuException("the cache of compiled kernels " + folder + " cannot be used: " + e.getMessage(), e);
        }
    }

    /** The user's cache, {@code ~/.cache/respec/cubins}. */
    public static CubinCache ofUser() {
        return new CubinCache(PrivateFolder.ofUser("cubins"));
    }

    /** Whether the kernel is in the cache, whole. */
    public boolean holds(KernelSource source, String architecture, KernelCompiler compiler) {
        try {
            return read(file(source, architecture, compiler), source.label()).isPresent();
        } catch (IOException e) {
            // Whoever wants it is told when it is compiled.
            return false;
        }
    }

    private Path file(KernelSource source, String architecture, KernelCompiler compiler) {
        return folder.resolve(key(source, architecture, compiler) + ".cubin");
    }

    /**
     * The kernel, from the cache or compiled now.
     *
     * @throws GpuException if it does not compile, or the cache cannot be written
     */
    public KernelImage get(KernelSource source, String architecture, KernelCompiler compiler) {
        String key = key(source, architecture, compiler);
        Path file = file(source, architecture, compiler);
        try {
            Optional<KernelImage> cached = read(file, source.label());
            if (cached.isPresent()) {
                return cached.get();
            }
            // A file lock is held by the process as a whole, so threads of this one need a lock of their own.
            synchronized (inProcess.computeIfAbsent(key, any -> new Object())) {
                try (FileChannel channel = FileChannel.open(folder.resolve(key + ".lock"), StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE)) {
                    lock(channel);
                    cached = read(file, source.label());
                    if (cached.isPresent()) {
                        return cached.get();
                    }
                    KernelImage made = compiler.compile(source, architecture);
                    write(file, made);
                    return made;
                }
            }
        } catch (IOException e) {
            throw new GpuException("the cache of compiled kernels " + folder + " cannot be used: " + e.getMessage()
                + "; free some space, or remove the folder", e);
        }
    }

    /**
     * Locks the file until the channel is closed. Another cache object of this process may hold the lock, which Java reports instead of
     * waiting.
     */
    private static void lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                channel.lock();
                return;
            } catch (OverlappingFileLockException e) {
                LockSupport.parkNanos(RETRY_NANOS);
            }
        }
    }

    private static Optional<KernelImage> read(Path file, String label) throws IOException {
        byte[] bytes;
        try {
            bytes = Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        if (bytes.length < HEADER || !Arrays.equals(bytes, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
            return Optional.empty();
        }
        MessageDigest digest = sha256();
        digest.update(bytes, MAGIC.length + HASH, bytes.length - MAGIC.length - HASH);
        int log = ByteBuffer.wrap(bytes).getInt(MAGIC.length + HASH);
        if (!Arrays.equals(digest.digest(), Arrays.copyOfRange(bytes, MAGIC.length, MAGIC.length + HASH)) || log < 0
            || log > bytes.length - HEADER) {
            return Optional.empty();
        }
        return Optional.of(new KernelImage(label, Arrays.copyOfRange(bytes, HEADER + log, bytes.length),
            new String(bytes, HEADER, log, StandardCharsets.UTF_8)));
    }

    private void write(Path file, KernelImage image) throws IOException {
        byte[] log = image.log().getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(Math.addExact(HEADER + log.length, image.bytes().length));
        bytes.put(MAGIC).position(MAGIC.length + HASH);
        bytes.putInt(log.length).put(log).put(image.bytes());
        MessageDigest digest = sha256();
        digest.update(bytes.array(), MAGIC.length + HASH, bytes.capacity() - MAGIC.length - HASH);
        bytes.put(MAGIC.length, digest.digest());
        bytes.clear();
        Path temporary = Files.createTempFile(folder, "cubin", ".tmp");
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /** Every part with its length, so that no two sources run together into the same bytes. */
    static String key(KernelSource source, String architecture, KernelCompiler compiler) {
        try (ByteArrayOutputStream bytes = new ByteArrayOutputStream(); DataOutputStream out = new DataOutputStream(bytes)) {
            put(out, compiler.version());
            put(out, architecture);
            put(out, source.name());
            put(out, source.text());
            for (Map<String, String> map : List.of(source.headers(), source.defines())) {
                out.writeInt(map.size());
                for (Map.Entry<String, String> entry : map.entrySet()) {
                    put(out, entry.getKey());
                    put(out, entry.getValue());
                }
            }
            for (List<String> list : List.of(source.entries(), CompileOptions.of(source, architecture))) {
                out.writeInt(list.size());
                for (String text : list) {
                    put(out, text);
                }
            }
            return HexFormat.of().formatHex(sha256().digest(bytes.toByteArray()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void put(DataOutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }
}
