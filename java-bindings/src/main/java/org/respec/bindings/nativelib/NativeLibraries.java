package org.respec.bindings.nativelib;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.zip.ZipEntry;

/**
 * Native libraries that come in jars: copied once to a private folder of the user's cache, named by their content, and loaded from
 * there. A copy that was cut short or tampered with is found by its hash and replaced.
 *
 * <p>Over {@link #LARGE} bytes hashing at every start would take longer than loading, so such a copy is named by the jar entry's
 * size and checksum, hashed while it is written, and marked whole once it is on the disk; from then on its size and the mark are
 * looked at. Its folder is the user's alone.
 */
public final class NativeLibraries {
    private static final long LARGE = 16 << 20;

    private NativeLibraries() {
    }

    /**
     * Loads {@code library} from the class path, for as long as the process lives.
     *
     * @param folder resource folder, without slashes at its ends
     * @param dependencies files in the same folder that it needs, loaded first, in this order
     * @throws IllegalStateException if a resource is missing or does not load, saying which and why
     */
    public static SymbolLookup load(String folder, String library, List<String> dependencies) {
        for (String dependency : dependencies) {
            open(folder, dependency);
        }
        return open(folder, library);
    }

    private static SymbolLookup open(String folder, String name) {
        Path file = extract(folder, name);
        try {
            return SymbolLookup.libraryLookup(file, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new IllegalStateException("the native library " + file + " does not load on this machine: " + e.getMessage(), e);
        }
    }

    /** Whether the class path has this library. */
    static boolean present(String folder, String name) {
        return NativeLibraries.class.getClassLoader().getResource(folder + "/" + name) != null;
    }

    /** Copies a resource to the private folder, if a whole copy is not there yet; returns the copy. */
    static Path extract(String folder, String name) {
        return extract(folder, name, PrivateFolder.ofUser("natives"));
    }

    static Path extract(String folder, String name, Path cache) {
        String resource = folder + "/" + name;
        URL url = NativeLibraries.class.getClassLoader().getResource(resource);
        if (url == null) {
            throw new IllegalStateException("the native library " + resource + " is not on the class path; is this Linux on x86-64?");
        }
        try {
            PrivateFolder.create(cache);
            URLConnection connection = url.openConnection();
            if (connection instanceof JarURLConnection jar && jar.getJarEntry() != null && jar.getJarEntry().getSize() >= LARGE
                && jar.getJarEntry().getCrc() != -1) {
                return large(jar, jar.getJarEntry(), name, cache);
            }
            return small(connection, name, cache);
        } catch (IOException e) {
            throw new IllegalStateException("the native library " + resource + " cannot be copied to " + cache + ": " + e.getMessage(), e);
        }
    }

    private static Path small(URLConnection connection, String name, Path cache) throws IOException {
        byte[] bytes;
        try (InputStream in = connection.getInputStream()) {
            bytes = in.readAllBytes();
        }
        String hash = HexFormat.of().formatHex(sha256().digest(bytes));
        Path target = PrivateFolder.create(cache.resolve(hash)).resolve(name);
        if (Files.isRegularFile(target) && Files.size(target) == bytes.length
            && HexFormat.of().formatHex(sha256().digest(Files.readAllBytes(target))).equals(hash)) {
            return target;
        }
        // Another process may be doing the same: each writes a file of its own, and the last rename wins with equal bytes.
        Path temporary = Files.createTempFile(target.getParent(), name, ".tmp");
        Files.write(temporary, bytes);
        move(temporary, target);
        return target;
    }

    private static Path large(JarURLConnection jar, ZipEntry entry, String name, Path cache) throws IOException {
        String version = String.format(Locale.ROOT, "%s-%d-%08x", name, entry.getSize(), entry.getCrc());
        Path target = PrivateFolder.create(cache.resolve(version)).resolve(name);
        Path mark = target.resolveSibling(name + ".sha256");
        if (Files.isRegularFile(target) && Files.size(target) == entry.getSize() && Files.isRegularFile(mark) && Files.size(mark) == 64) {
            return target;
        }
        Files.deleteIfExists(mark);
        Path temporary = Files.createTempFile(target.getParent(), name, ".tmp");
        MessageDigest digest = sha256();
        // The zip stream checks the entry's checksum as it reads, so what is written is what the jar holds.
        try (InputStream in = jar.getInputStream(); FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE);
             OutputStream out = new DigestOutputStream(Channels.newOutputStream(channel), digest)) {
            in.transferTo(out);
            channel.force(true);
        }
        move(temporary, target);
        Path hash = Files.createTempFile(target.getParent(), name, ".tmp");
        Files.writeString(hash, HexFormat.of().formatHex(digest.digest()));
        move(hash, mark);
        return target;
    }

    private static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }
}
