package org.respec.bindings.nativelib;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/**
 * Native libraries that come in jars: copied once to a private folder of the user's cache, named by their content, and loaded from
 * there. A copy that was cut short or tampered with is found by its hash and replaced.
 */
public final class NativeLibraries {
    private static final Set<PosixFilePermission> PRIVATE = PosixFilePermissions.fromString("rwx------");

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

    /** Copies a resource to the private folder, if a whole copy is not there yet; returns the copy. */
    static Path extract(String folder, String name) {
        String resource = folder + "/" + name;
        try (InputStream in = NativeLibraries.class.getClassLoader().getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException("the native library " + resource + " is not on the class path; is this Linux on x86-64?");
            }
            byte[] bytes = in.readAllBytes();
            String hash = sha256(bytes);
            Path target = cache().resolve(hash).resolve(name);
            if (Files.isRegularFile(target) && Files.size(target) == bytes.length && sha256(Files.readAllBytes(target)).equals(hash)) {
                return target;
            }
            Files.createDirectories(target.getParent(), PosixFilePermissions.asFileAttribute(PRIVATE));
            // Another process may be doing the same: each writes a file of its own, and the last rename wins with equal bytes.
            Path temporary = Files.createTempFile(target.getParent(), name, ".tmp");
            Files.write(temporary, bytes);
            try {
                Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            } catch (AtomicMoveNotSupportedException e) {
                Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
            }
            return target;
        } catch (IOException e) {
            throw new IllegalStateException("the native library " + resource + " cannot be copied to " + cache() + ": " + e.getMessage(), e);
        }
    }

    private static Path cache() {
        return Path.of(System.getProperty("user.home"), ".cache", "respec", "natives");
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }
}
