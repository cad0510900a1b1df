package org.respec.bindings.nativelib;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** Folders of the user's cache that hold code: what is loaded or run from there must be nobody else's to write. */
public final class PrivateFolder {
    private static final Set<PosixFilePermission> PRIVATE = PosixFilePermissions.fromString("rwx------");

    private PrivateFolder() {
    }

    /**
     * {@code ~/.cache/respec} and one folder in it; where the home folder cannot be written, as in many a container, the user's own in the
     * system's temporary folder.
     */
    public static Path ofUser(String name) {
        return of(name, Path.of(System.getProperty("user.home")), Path.of(System.getProperty("java.io.tmpdir")));
    }

    static Path of(String name, Path home, Path temporary) {
        Path usual = home.resolve(".cache").resolve("respec").resolve(name);
        try {
            return create(usual);
        } catch (IOException e) {
            try {
                return create(create(temporary.resolve("respec-" + user())).resolve(name));
            } catch (IOException again) {
                // Whoever uses it says what is wrong with the usual one.
                return usual;
            }
        }
    }

    private static Object user() throws IOException {
        return Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }

    /**
     * Makes the folder if it is not there, for this user alone.
     *
     * @throws IOException if it cannot be made, or if it is another user's
     */
    public static Path create(Path folder) throws IOException {
        Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(PRIVATE));
        Object owner = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        Object user = user();
        if (!owner.equals(user)) {
            throw new IOException("the folder " + folder + " belongs to user id " + owner + " and not to this process (" + user
                + "), who could have put other code there; remove it or run as its owner");
        }
        if (!Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS).equals(PRIVATE)) {
            Files.setPosixFilePermissions(folder, PRIVATE);
        }
        return folder;
    }
}
