package org.respec.engine.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/**
 * Checkpoints of a run. Each is a folder of binary parts and a {@code manifest.json} with their sizes and SHA-256. It is written under
 * a temporary name, synced file by file, and renamed last: whatever has its final name is whole, unless the disk broke it, which the
 * checksums show.
 */
public final class CheckpointStore {
    private static final JsonMapper JSON = new JsonMapper();
    private static final String MANIFEST = "manifest.json";
    private static final String PREFIX = "iteration-";
    private static final int CHUNK = 1 << 20;

    private final Path folder;
    private final int keep;

    /** Checkpoints under {@code folder}, of which the newest {@code keep} stay. */
    public CheckpointStore(Path folder, int keep) {
        this.folder = folder;
        this.keep = keep;
    }

    /** Collects the parts of a checkpoint, which are written one by one as they are added. */
    public final class Parts {
        private final Path target;
        private final ArrayNode manifest = JSON.createArrayNode();

        private Parts(Path target) {
            this.target = target;
        }

        /** Writes a part. */
        public void add(String name, MemorySegment bytes) {
            add(name, sink -> sink.accept(bytes));
        }

        /** Writes a part that comes in pieces, each valid only while it is handed over. */
        public void add(String name, Consumer<Consumer<MemorySegment>> pieces) {
            try (PartWriter writer = new PartWriter(target.resolve(name))) {
                pieces.accept(writer);
                writer.finish();
                manifest.addObject().put("name", name).put("bytes", writer.bytes()).put("sha256", writer.sha256());
            } catch (IOException e) {
                throw failed(e);
            } catch (UncheckedIOException e) {
                throw failed(e.getCause());
            }
        }

        /** Writes a part of text. */
        public void add(String name, byte[] text) {
            add(name, MemorySegment.ofArray(text));
        }

        /** Writes a part of whole numbers. */
        public void add(String name, int[] numbers) {
            MemorySegment bytes = MemorySegment.ofArray(new byte[Math.multiplyExact(4, numbers.length)]);
            MemorySegment.copy(MemorySegment.ofArray(numbers), 0, bytes, 0, bytes.byteSize());
            add(name, bytes);
        }
    }

    /** Writes the checkpoint of {@code iteration} and then removes those that are too old, and later ones, which a run went back behind. */
    public void write(int iteration, ObjectNode state, Consumer<Parts> writer) {
        try {
            Files.createDirectories(folder);
            SafeFiles.writeFolder(folder.resolve(name(iteration)), temporary -> {
                Parts parts = new Parts(temporary);
                writer.accept(parts);
                ObjectNode manifest = JSON.createObjectNode();
                manifest.put("format", 1);
                manifest.set("state", state);
                manifest.set("parts", parts.manifest);
                SafeFiles.write(temporary.resolve(MANIFEST), (manifest.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
            });
            prune(name(iteration));
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private BadInput failed(IOException e) {
        return new BadInput(folder + ": a checkpoint cannot be written (" + Reason.of(e) + "); check space and permissions.", e);
    }

    private static String name(int iteration) {
        return PREFIX + String.format(Locale.ROOT, "%08d", iteration);
    }

    /** A part's file, with the checksum of what was written. */
    private static final class PartWriter implements Consumer<MemorySegment>, AutoCloseable {
        private final MessageDigest digest = CheckpointStore.sha256();
        private final FileChannel channel;
        private long bytes;

        PartWriter(Path file) throws IOException {
            channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        }

        @Override
        public void accept(MemorySegment piece) {
            try {
                for (long at = 0; at < piece.byteSize(); at += CHUNK) {
                    ByteBuffer view = piece.asSlice(at, Math.min(CHUNK, piece.byteSize() - at)).asByteBuffer();
                    digest.update(view.duplicate());
                    while (view.hasRemaining()) {
                        channel.write(view);
                    }
                }
                bytes += piece.byteSize();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        void finish() throws IOException {
            channel.force(true);
        }

        long bytes() {
            return bytes;
        }

        String sha256() {
            return HexFormat.of().formatHex(digest.digest());
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    private void prune(String newest) throws IOException {
        int kept = 0;
        for (Path finished : finished()) {
            if (finished.getFileName().toString().compareTo(newest) > 0 || ++kept > keep) {
                SafeFiles.deleteAll(finished);
            }
        }
        try (Stream<Path> entries = Files.list(folder)) {
            for (Path leftover : entries.filter(p -> p.getFileName().toString().startsWith(SafeFiles.WRITING)).toList()) {
                SafeFiles.deleteAll(leftover);
            }
        }
    }

    /** Finished checkpoints, newest first. */
    private List<Path> finished() throws IOException {
        if (!SafeFiles.isFolder(folder)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return new ArrayList<>(entries.filter(p -> p.getFileName().toString().matches(PREFIX + "\\d+"))
                .sorted(Comparator.comparing((Path p) -> p.getFileName().toString()).reversed()).toList());
        }
    }

    /** SHA-256 of a file. */
    static String sha256(Path file) throws IOException {
        MessageDigest digest = sha256();
        ByteBuffer buffer = ByteBuffer.allocate(CHUNK);
        try (FileChannel channel = FileChannel.open(file)) {
            while (channel.read(buffer) >= 0) {
                digest.update(buffer.flip());
                buffer.clear();
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }

    /**
     * The newest checkpoint whose parts are all there and have the checksums of its manifest; nothing if none was ever finished.
     *
     * @param says told in a sentence of each that is passed over
     * @throws BadInput if there are some and all are damaged: a run that began again would overwrite what is left of them
     */
    public Optional<Checkpoint> latest(Consumer<String> says) {
        try {
            List<Path> all = finished();
            String damage = null;
            for (Path candidate : all) {
                try {
                    return Optional.of(Checkpoint.open(candidate));
                } catch (IOException e) {
                    String why = Reason.of(e);
                    damage = damage == null ? why : damage;
                    says.accept(candidate + " is damaged (" + why + ") and passed over");
                }
            }
            if (damage != null) {
                throw new BadInput(folder + ": there is no whole checkpoint among its " + all.size() + " (" + all.getFirst().getFileName()
                    + ": " + damage + "); mend one, or begin again without --resume, which keeps this run under another name.");
            }
            return Optional.empty();
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /**
     * The checkpoint of one iteration.
     *
     * @throws BadInput if there is none, naming those that there are, or it is damaged
     */
    public Checkpoint of(int iteration) {
        Path wanted = folder.resolve(name(iteration));
        try {
            List<Integer> there = finished().stream().map(p -> Integer.parseInt(p.getFileName().toString().substring(PREFIX.length())))
                .sorted().toList();
            if (!there.contains(iteration)) {
                throw new BadInput(folder + ": there is no checkpoint of iteration " + iteration + (there.isEmpty() ? ", nor any other."
                    : "; there are " + there.toString().replaceAll("[\\[\\]]", "") + "."));
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
        try {
            return Checkpoint.open(wanted);
        } catch (IOException e) {
            throw new BadInput(wanted + ": it is damaged (" + Reason.of(e) + "); name another.", e);
        }
    }

    private BadInput unreadable(IOException e) {
        return new BadInput(folder + ": checkpoints cannot be read (" + Reason.of(e) + "); check permissions.", e);
    }

    /** A whole checkpoint. */
    public static final class Checkpoint {
        private final Path path;
        private final JsonNode state;
        private final Map<String, Long> sizes;

        private Checkpoint(Path path, JsonNode state, Map<String, Long> sizes) {
            this.path = path;
            this.state = state;
            this.sizes = sizes;
        }

        /** Opens a folder that is whole; else the exception says what is wrong with it. */
        private static Checkpoint open(Path path) throws IOException {
            JsonNode manifest = JSON.readTree(Files.readAllBytes(path.resolve(MANIFEST)));
            Map<String, Long> sizes = new HashMap<>();
            for (JsonNode part : manifest.path("parts")) {
                String name = part.path("name").asText();
                long bytes = part.path("bytes").asLong(-1);
                Path file = path.resolve(name);
                if (!Files.exists(file)) {
                    throw new IOException("part " + name + " is missing");
                }
                if (Files.size(file) != bytes) {
                    throw new IOException("part " + name + " has " + Files.size(file) + " bytes instead of " + bytes);
                }
                if (!sha256(file).equals(part.path("sha256").asText())) {
                    throw new IOException("part " + name + " does not have its checksum");
                }
                sizes.put(name, bytes);
            }
            if (!manifest.path("state").isObject()) {
                throw new IOException("its " + MANIFEST + " has no state");
            }
            return new Checkpoint(path, manifest.get("state"), sizes);
        }

        /** Where it lies. */
        public Path path() {
            return path;
        }

        /** What the run had come to. */
        public JsonNode state() {
            return state;
        }

        /** Reads a part, whose size must be that of {@code target}. */
        public void read(String name, MemorySegment target) {
            if (bytes(name) != target.byteSize()) {
                throw new BadInput(path + ": part " + name + " has " + bytes(name) + " bytes where this configuration needs "
                    + target.byteSize() + "; resume with the configuration the run began with.");
            }
            try (FileChannel channel = FileChannel.open(path.resolve(name))) {
                for (long at = 0; at < target.byteSize(); at += CHUNK) {
                    fill(target.asSlice(at, Math.min(CHUNK, target.byteSize() - at)), channel, name);
                }
            } catch (IOException e) {
                throw unreadable(e);
            }
        }

        private static void fill(MemorySegment piece, FileChannel channel, String name) throws IOException {
            ByteBuffer view = piece.asByteBuffer();
            while (view.hasRemaining()) {
                if (channel.read(view) < 0) {
                    throw new IOException("part " + name + " ends early");
                }
            }
        }

        private BadInput unreadable(IOException e) {
            return new BadInput(path + ": it cannot be read (" + Reason.of(e) + "); remove it to resume from the one before.", e);
        }

        /** Whether it has a part of that name. */
        public boolean has(String name) {
            return sizes.containsKey(name);
        }

        /** Gives a part in pieces of a whole number of floats, each valid only while it is handed over. */
        public void stream(String name, Consumer<MemorySegment> sink) {
            long bytes = bytes(name);
            try (FileChannel channel = FileChannel.open(path.resolve(name)); Arena arena = Arena.ofConfined()) {
                MemorySegment buffer = arena.allocate(CHUNK, Float.BYTES);
                for (long at = 0; at < bytes; at += CHUNK) {
                    MemorySegment piece = buffer.asSlice(0, Math.min(CHUNK, bytes - at));
                    fill(piece, channel, name);
                    sink.accept(piece);
                }
            } catch (IOException e) {
                throw unreadable(e);
            }
        }

        /** Reads a part of whole numbers. */
        public int[] readNumbers(String name) {
            MemorySegment bytes = MemorySegment.ofArray(new byte[Math.toIntExact(bytes(name))]);
            read(name, bytes);
            int[] numbers = new int[(int) (bytes.byteSize() / 4)];
            MemorySegment.copy(bytes, 0, MemorySegment.ofArray(numbers), 0, 4L * numbers.length);
            return numbers;
        }

        /** A part's size. */
        public long bytes(String name) {
            Long bytes = sizes.get(name);
            if (bytes == null) {
                throw new BadInput(path + ": part " + name + " is missing; resume with the configuration the run began with.");
            }
            return bytes;
        }
    }
}
