package org.respec.bindings.nativelib;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where a user's cache is, with a home folder that can be written and with one that cannot. */
class PrivateFolderTest {
    @TempDir
    Path folder;

    @Test
    void theHomeFolderComesFirst() throws IOException {
        Path temporary = folder.resolve("tmp");
        assertEquals(folder.resolve(".cache/respec/natives"), PrivateFolder.of("natives", folder, temporary));
        assertTrue(Files.isDirectory(folder.resolve(".cache/respec/natives")));
        assertFalse(Files.exists(temporary));
    }

    @Test
    void withoutOneTheTemporaryFolderHasTheUsersOwn() throws IOException {
        Path home = Files.writeString(folder.resolve("home"), "no folder");
        Path temporary = Files.createDirectory(folder.resolve("tmp"));
        Path own = temporary.resolve("respec-" + Files.getAttribute(folder, "unix:uid"));
        assertEquals(own.resolve("natives"), PrivateFolder.of("natives", home, temporary));
        for (Path each : new Path[] {own, own.resolve("natives")}) {
            assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(each)), each.toString());
        }
        assertEquals(home.resolve(".cache/respec/natives"), PrivateFolder.of("natives", home, home), "neither can be used");
    }
}
