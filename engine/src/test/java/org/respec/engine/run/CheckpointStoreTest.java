package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.BadInput;

class CheckpointStoreTest {
    @TempDir
    private Path folder;

    private static ObjectNode state(int n) {
        return JsonNodeFactory.instance.objectNode().put("iteration", n);
    }

    private CheckpointStore withTwo() {
        CheckpointStore store = new CheckpointStore(folder, 2);
        store.write(1, state(1), parts -> parts.add("a", new int[] {1, 2, 3}));
        store.write(2, state(2), parts -> parts.add("a", new int[] {4, 5, 6}));
        return store;
    }

    private static int newest(CheckpointStore store) {
        return store.latest(note -> { }).map(c -> c.state().path("iteration").intValue()).orElse(0);
    }

    @Test
    void newestIsReadBackAndOldOnesGo() throws IOException {
        CheckpointStore store = withTwo();
        assertArrayEquals(new int[] {4, 5, 6}, store.latest(Assertions::fail).orElseThrow().readNumbers("a"));
        store.write(3, state(3), parts -> parts.add("a", new int[] {7}));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of("iteration-00000002", "iteration-00000003"), left.map(p -> p.getFileName().toString()).sorted().toList());
        }
    }

    /** Where numbers are written in other digits, too. */
    @Test
    void namesDoNotDependOnTheLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("fa-IR"));
            assertEquals("\u06f7", String.format(Locale.getDefault(), "%d", 7), "this Java has the locale");
            assertEquals(2, newest(withTwo()));
        } finally {
            Locale.setDefault(before);
        }
        assertTrue(Files.isDirectory(folder.resolve("iteration-00000002")));
    }

    @Test
    void aWriteThatDiesHalfWayLeavesTheOneBefore() throws IOException {
        CheckpointStore store = withTwo();
        assertThrows(IllegalStateException.class, () -> store.write(3, state(3), parts -> {
            parts.add("a", new int[] {7});
            throw new IllegalStateException("the power went");
        }));
        assertEquals(2, newest(store));
        store.write(3, state(3), parts -> parts.add("a", new int[] {7}));
        assertEquals(3, newest(store));
        try (Stream<Path> left = Files.list(folder)) {
            assertTrue(left.noneMatch(p -> p.getFileName().toString().startsWith(".writing")), "leftovers are removed");
        }
    }

    @Test
    void everyKindOfDamageIsSeen() throws IOException {
        Path part = folder.resolve("iteration-00000002/a");
        Path manifest = folder.resolve("iteration-00000002/manifest.json");
        CheckpointStore store = withTwo();
        byte[] whole = Files.readAllBytes(part);
        String text = Files.readString(manifest);
        for (int bit = 0; bit < 8 * whole.length; bit++) {
            byte[] broken = whole.clone();
            broken[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(part, broken);
            assertEquals(1, newest(store), "bit " + bit);
        }
        Files.write(part, java.util.Arrays.copyOf(whole, whole.length - 1));
        assertEquals(1, newest(store), "truncated part");
        Files.delete(part);
        assertEquals(1, newest(store), "missing part");
        Files.write(part, whole);
        for (int length = 0; length < text.length() - 2; length++) {
            Files.writeString(manifest, text.substring(0, length));
            assertEquals(1, newest(store), "manifest cut to " + length);
        }
        Files.writeString(manifest, text);
        assertEquals(2, newest(store));
    }

    /** Whoever resumes is told; if nothing is whole, nothing begins again over what is left. */
    @Test
    void damageIsNamedAndNeverTakenForABeginning() throws IOException {
        CheckpointStore store = withTwo();
        Files.write(folder.resolve("iteration-00000002/a"), new byte[5]);
        List<String> said = new ArrayList<>();
        assertEquals(1, store.latest(said::add).orElseThrow().state().path("iteration").intValue());
        assertEquals(List.of(folder.resolve("iteration-00000002")
            + " is damaged (part a has 5 bytes instead of 12) and passed over"), said);
        Files.delete(folder.resolve("iteration-00000001/manifest.json"));
        BadInput e = assertThrows(BadInput.class, () -> store.latest(note -> { }));
        assertTrue(e.getMessage().contains("no whole checkpoint among its 2 (iteration-00000002: part a has 5 bytes"), e.getMessage());
        assertTrue(new CheckpointStore(folder.resolve("none"), 2).latest(Assertions::fail).isEmpty());
    }

    /** What a run went back behind neither stays the newest nor takes the place of what is whole. */
    @Test
    void laterOnesGoWhenARunWentBackBehindThem() throws IOException {
        CheckpointStore store = new CheckpointStore(folder, 2);
        for (int iteration : new int[] {10, 20, 30, 15}) {
            store.write(iteration, state(iteration), parts -> parts.add("a", new int[] {iteration}));
        }
        assertEquals(15, newest(store));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of("iteration-00000015"), left.map(p -> p.getFileName().toString()).toList());
        }
    }

    @Test
    void aPartOfAnotherSizeIsRefused() {
        CheckpointStore.Checkpoint checkpoint = withTwo().latest(Assertions::fail).orElseThrow();
        BadInput e = assertThrows(BadInput.class, () -> checkpoint.read("a", java.lang.foreign.MemorySegment.ofArray(new int[4])));
        assertTrue(e.getMessage().contains("part a has 12 bytes"), e.getMessage());
        assertThrows(BadInput.class, () -> checkpoint.readNumbers("b"));
    }
}
