package org.respec.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafeFilesTest {
    @TempDir
    Path folder;

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void whatIsThereIsTold() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        Path link = Files.createSymbolicLink(folder.resolve("link"), folder);
        Path dangling = Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("none"));
        assertTrue(SafeFiles.exists(file) && SafeFiles.isFile(file) && !SafeFiles.isFolder(file));
        assertTrue(SafeFiles.exists(link) && !SafeFiles.isFile(link) && SafeFiles.isFolder(link));
        for (Path missing : List.of(dangling, folder.resolve("none"), folder.resolve("none/below"))) {
            assertFalse(SafeFiles.exists(missing) || SafeFiles.isFile(missing) || SafeFiles.isFolder(missing), missing.toString());
        }
    }

    /** A loop of links is found whoever asks; permissions are not asked of root. */
    @Test
    void whatCannotBeSeenIsNotCalledMissing() throws IOException {
        Path loop = Files.createSymbolicLink(folder.resolve("loop"), folder.resolve("loop"));
        BadInput bad = assertThrows(BadInput.class, () -> SafeFiles.isFile(loop.resolve("config.yaml")));
        assertTrue(bad.getMessage().startsWith(loop.resolve("config.yaml") + ": it cannot be read (Too many levels"), bad.getMessage());
        Path closed = Files.createDirectory(folder.resolve("closed"));
        Path hidden = Files.writeString(closed.resolve("config.yaml"), "run: {}");
        Files.setPosixFilePermissions(closed, Set.of());
        try {
            assumeFalse(Files.exists(hidden), "root sees everything");
            bad = assertThrows(BadInput.class, () -> SafeFiles.exists(hidden));
            assertTrue(bad.getMessage().startsWith(hidden + ": it cannot be read (permission denied)"), bad.getMessage());
        } finally {
            Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("rwx------"));
        }
    }

    @Test
    void aFileIsReplacedWhole() throws IOException {
        Path file = folder.resolve("a");
        SafeFiles.write(file, new byte[] {1, 2, 3});
        SafeFiles.write(file, new byte[] {4});
        assertArrayEquals(new byte[] {4}, Files.readAllBytes(file));
        assertEquals(List.of("a"), names(), "nothing temporary is left");
    }

    @Test
    void aWriteThatFailsLeavesTheOldFile() throws IOException {
        Path file = folder.resolve("a");
        SafeFiles.write(file, new byte[] {1, 2, 3});
        BadInput bad = assertThrows(BadInput.class, () -> SafeFiles.write(file, channel -> {
            throw new IOException("no space");
        }));
        assertTrue(bad.getMessage().startsWith(file + ": ") && bad.getMessage().contains("no space"), bad.getMessage());
        assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(file));
        assertEquals(List.of("a"), names(), "nothing of the new one is left");
    }

    @Test
    void aFolderIsReplacedWhole() throws IOException {
        Path target = folder.resolve("a");
        SafeFiles.writeFolder(target, temporary -> Files.writeString(temporary.resolve("one"), "1"));
        SafeFiles.writeFolder(target, temporary -> Files.writeString(temporary.resolve("two"), "2"));
        assertEquals(List.of("two"), Stream.of(target.toFile().list()).toList());
        assertThrows(IOException.class, () -> SafeFiles.writeFolder(target, temporary -> {
            Files.writeString(temporary.resolve("three"), "3");
            throw new IOException("no space");
        }));
        assertEquals(List.of("two"), Stream.of(target.toFile().list()).toList(), "the old one stays");
        SafeFiles.writeFolder(target, temporary -> Files.writeString(temporary.resolve("four"), "4"));
        assertEquals(List.of("four"), Stream.of(target.toFile().list()).toList());
        assertEquals(List.of("a"), names(), "nothing temporary is left");
        // A crash between the two renames, then one while the next is filled: the old one is whole again.
        Files.move(target, folder.resolve(SafeFiles.WRITING + "a.before"));
        assertThrows(IOException.class, () -> SafeFiles.writeFolder(target, temporary -> {
            throw new IOException("no space");
        }));
        assertEquals(List.of("four"), Stream.of(target.toFile().list()).toList());
    }

    /** A device is written to and not replaced, and so is what a link names. */
    @Test
    void devicesAndLinksStayWhatTheyAre() throws IOException {
        Path device = Path.of("/dev/null");
        SafeFiles.write(device, new byte[] {1, 2, 3});
        assertFalse(Files.isRegularFile(device));
        Path file = Files.write(folder.resolve("file"), new byte[] {9});
        Path link = Files.createSymbolicLink(folder.resolve("link"), file);
        SafeFiles.write(link, new byte[] {1, 2, 3});
        assertTrue(Files.isSymbolicLink(link));
        assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(file));
    }

    @Test
    void deletingTakesAFolderAndNothingThatALinkInItNames() throws IOException {
        Path kept = Files.createDirectories(folder.resolve("kept/inner"));
        Files.writeString(kept.resolve("file"), "stays");
        Path gone = Files.createDirectories(folder.resolve("gone/a/b")).getParent().getParent();
        Files.writeString(gone.resolve("a/b/file"), "goes");
        Files.createSymbolicLink(gone.resolve("a/link"), kept.getParent());
        SafeFiles.deleteAll(gone);
        assertFalse(Files.exists(gone));
        assertEquals("stays", Files.readString(kept.resolve("file")));
        SafeFiles.deleteAll(gone);
        SafeFiles.deleteAll(kept.resolve("file"));
        assertEquals(List.of(), Stream.of(kept.toFile().list()).toList());
    }
}
