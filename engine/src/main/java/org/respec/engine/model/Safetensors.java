package org.respec.engine.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/**
 * The safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes without holes. Everything a file says is
 * checked before a byte of it is used.
 */
public final class Safetensors implements AutoCloseable {
    /** The format's own bound. */
    static final long MAX_HEADER = 100_000_000;
    /** Elements written at a time. */
    private static final int INFINITY = Float.floatToRawIntBits(Float.POSITIVE_INFINITY);
    private static final int CHUNK = 1 << 18;
    private static final ValueLayout.OfLong LENGTH = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** One tensor of a file: shape and where its bytes are. */
    record Entry(String name, String dtype, List<Long> shape, long begin, long end) {
        long elements() {
            long product = 1;
            for (long size : shape) {
                product = Math.multiplyExact(product, size);
            }
            return product;
        }
    }

    private final Path file;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment data;
    private final Map<String, Entry> entries;

    private Safetensors(Path file) throws IOException {
        this.file = file;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = channel.size();
            if (size < 8) {
                throw bad("is " + size + " bytes long, too short for a header; it is truncated, fetch it again");
            }
            MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
            long length = all.get(LENGTH, 0);
            if (length < 2 || length > MAX_HEADER) {
                throw bad("says its header has " + Long.toUnsignedString(length) + " bytes, outside 2 to " + MAX_HEADER
                    + "; it is no safetensors file or is damaged");
            }
            if (length > size - 8) {
                throw bad("says its header has " + length + " bytes but holds only " + (size - 8) + " after the length; it is truncated,"
                    + " fetch it again");
            }
            byte[] header = all.asSlice(8, length).toArray(ValueLayout.JAVA_BYTE);
            this.data = all.asSlice(8 + length);
            this.entries = parse(header, data.byteSize());
        } catch (RuntimeException | IOException e) {
            arena.close();
            throw e;
        }
    }

    /** Opens a file and checks its header; {@link BadInput} says what is wrong with it. */
    public static Safetensors open(Path file) {
        if (!SafeFiles.isFile(file)) {
            throw new BadInput(file + ": there is no such file; name a folder with a model in Hugging Face form.");
        }
        try {
            return new Safetensors(file);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + Reason.of(e) + "); check the file and its permissions.", e);
        }
    }

    private BadInput bad(String what) {
        return new BadInput(file + ": the file " + what + ".");
    }

    private BadInput bad(String tensor, String what) {
        return new BadInput(file + ": tensor " + tensor + " " + what + ".");
    }

    private Map<String, Entry> parse(byte[] header, long dataSize) {
        if (header[0] != '{') {
            throw bad("has a header that does not begin with '{'; it is no safetensors file or is damaged");
        }
        JsonNode root;
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(header)).toString();
            root = JsonFields.MAPPER.readTree(text);
        } catch (java.nio.charset.CharacterCodingException e) {
            throw bad("has a header that is not UTF-8; it is damaged, fetch it again");
        } catch (JsonProcessingException e) {
            throw bad("has a header that is not valid JSON (" + e.getOriginalMessage().lines().findFirst().orElse("") + ")");
        }
        if (root == null || !root.isObject()) {
            throw bad("has a header that is not a JSON object");
        }
        List<Entry> list = new ArrayList<>();
        for (Map.Entry<String, JsonNode> field : root.properties()) {
            if (field.getKey().equals("__metadata__")) {
                checkMetadata(field.getValue());
            } else {
                list.add(entry(field.getKey(), field.getValue(), dataSize));
            }
        }
        list.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        long at = 0;
        Map<String, Entry> byName = new LinkedHashMap<>();
        for (Entry e : list) {
            if (e.begin != at) {
                throw bad(e.name, "begins at byte " + e.begin + " where the one before it ends at " + at
                    + (e.begin < at ? "; tensors must not overlap" : "; there must be no holes"));
            }
            at = e.end;
            byName.put(e.name, e);
        }
        if (at != dataSize) {
            throw bad("holds " + dataSize + " bytes of tensors where its header describes " + at
                + (at > dataSize ? "; it is truncated, fetch it again" : "; there must be nothing after the last tensor"));
        }
        return byName;
    }

    private void checkMetadata(JsonNode node) {
        boolean strings = node.isObject() && node.properties().stream().allMatch(e -> e.getValue().isTextual());
        if (!strings) {
            throw bad("has __metadata__ that is not a map of strings");
        }
    }

    private Entry entry(String name, JsonNode node, long dataSize) {
        JsonNode dtype = node.path("dtype");
        JsonNode shape = node.path("shape");
        JsonNode offsets = node.path("data_offsets");
        if (!dtype.isTextual() || !shape.isArray() || !offsets.isArray() || offsets.size() != 2 || node.size() != 3) {
            throw bad(name, "must be described by dtype, shape and two data_offsets");
        }
        int bytes = switch (dtype.textValue()) {
            case "F32" -> 4;
            case "BF16", "F16" -> 2;
            default -> throw bad(name, "has dtype " + dtype.textValue() + "; only F32, BF16 and F16 are supported");
        };
        if (shape.size() > 8) {
            throw bad(name, "has " + shape.size() + " dimensions; at most 8 make sense");
        }
        List<Long> sizes = new ArrayList<>();
        for (JsonNode size : shape) {
            sizes.add(natural(name, "a size", size));
        }
        long begin = natural(name, "an offset", offsets.get(0));
        long end = natural(name, "an offset", offsets.get(1));
        if (begin > end || end > dataSize) {
            throw bad(name, "lies at bytes " + begin + " to " + end + " of " + dataSize + "; offsets must rise and stay inside the file");
        }
        Entry entry = new Entry(name, dtype.textValue(), List.copyOf(sizes), begin, end);
        try {
            if (Math.multiplyExact(entry.elements(), (long) bytes) != end - begin) {
                throw bad(name, "has shape " + sizes + " of " + dtype.textValue() + " but " + (end - begin) + " bytes");
            }
        } catch (ArithmeticException e) {
            throw bad(name, "has shape " + sizes + ", whose size overflows");
        }
        return entry;
    }

    private long natural(String name, String what, JsonNode node) {
        if (!node.isIntegralNumber() || !node.canConvertToLong() || node.longValue() < 0) {
            throw bad(name, "has " + what + " of " + node + "; it must be a whole number of at least 0");
        }
        return node.longValue();
    }

    Map<String, Entry> entries() {
        return entries;
    }

    /** Reads one tensor as F32 into {@code target}, which has exactly its size; a vector may have one or no leading size of 1. */
    void read(TensorSpec spec, MemorySegment target) {
        Entry entry = entries.get(spec.name());
        if (entry == null) {
            throw new BadInput(file + ": tensor " + spec.name() + " is missing; config.json and weights do not belong together.");
        }
        List<Long> wanted = spec.rows() == 1 ? List.of((long) spec.cols()) : List.of((long) spec.rows(), (long) spec.cols());
        boolean fits = entry.shape.equals(wanted) || (spec.rows() == 1 && entry.shape.equals(List.of(1L, (long) spec.cols())));
        if (!fits) {
            throw bad(spec.name(), "has shape " + entry.shape + " where config.json asks for " + wanted);
        }
        long count = entry.elements();
        if (target.byteSize() != 4 * count) {
            throw new IllegalArgumentException("tensor " + spec.name() + " of " + count + " elements into " + target.byteSize() + " bytes");
        }
        MemorySegment source = bytes(entry);
        // The bits of infinity and NaN without their sign are more than any number's.
        int largest = 0;
        switch (entry.dtype) {
            case "F32" -> {
                for (long i = 0; i < count; i++) {
                    float value = source.get(FLOAT, 4 * i);
                    largest = Math.max(largest, Float.floatToRawIntBits(value) & Integer.MAX_VALUE);
                    target.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                }
            }
            case "BF16" -> {
                for (long i = 0; i < count; i++) {
                    float value = Float.intBitsToFloat(source.get(HALF, 2 * i) << 16);
                    largest = Math.max(largest, Float.floatToRawIntBits(value) & Integer.MAX_VALUE);
                    target.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                }
            }
            default -> {
                for (long i = 0; i < count; i++) {
                    float value = Float.float16ToFloat(source.get(HALF, 2 * i));
                    largest = Math.max(largest, Float.floatToRawIntBits(value) & Integer.MAX_VALUE);
                    target.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                }
            }
        }
        if (largest >= INFINITY) {
            throw bad(spec.name(), "holds infinity or NaN; the weights are broken, fetch them again");
        }
    }

    private MemorySegment bytes(Entry entry) {
        return data.asSlice(entry.begin, entry.end - entry.begin);
    }

    /** Whether a tensor of this file is another's, bit for bit; both must be there. */
    boolean same(String name, Safetensors other, String otherName) {
        Entry a = entries.get(name);
        Entry b = other.entries.get(otherName);
        return a.dtype.equals(b.dtype) && a.shape.equals(b.shape) && bytes(a).mismatch(other.bytes(b)) < 0;
    }

    @Override
    public void close() {
        arena.close();
    }

    /**
     * Writes tensors that come as floats in the order of {@code specs}, in pieces.
     *
     * @param values gives the pieces, each valid while it is handed over, as {@link ParameterSet#read} does
     * @param bfloat16 whether to round to BF16 (to nearest, ties to even) rather than keep F32
     */
    public static void write(Path file, List<TensorSpec> specs, Consumer<Consumer<MemorySegment>> values, boolean bfloat16) {
        int bytes = bfloat16 ? 2 : 4;
        ObjectNode header = new JsonMapper().createObjectNode();
        header.putObject("__metadata__").put("format", "pt");
        long at = 0;
        for (TensorSpec spec : specs) {
            long size = (long) spec.rows() * spec.cols() * bytes;
            ObjectNode entry = header.putObject(spec.name());
            entry.put("dtype", bfloat16 ? "BF16" : "F32");
            var shape = entry.putArray("shape");
            if (spec.rows() > 1) {
                shape.add(spec.rows());
            }
            shape.add(spec.cols());
            entry.putArray("data_offsets").add(at).add(at + size);
            at += size;
        }
        byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
        int padded = (text.length + 7) / 8 * 8;
        ByteBuffer head = ByteBuffer.allocate(8 + padded).order(ByteOrder.LITTLE_ENDIAN);
        head.putLong(padded).put(text);
        while (head.hasRemaining()) {
            head.put((byte) ' ');
        }
        SafeFiles.write(file, channel -> {
            SafeFiles.writeAll(channel, head.flip());
            ByteBuffer out = ByteBuffer.allocate(CHUNK * bytes).order(ByteOrder.LITTLE_ENDIAN);
            try {
                values.accept(piece -> write(channel, out, piece, bfloat16));
            } catch (UncheckedIOException e) {
                throw e.getCause();
            }
        });
    }

    private static void write(FileChannel channel, ByteBuffer out, MemorySegment floats, boolean bfloat16) {
        long count = floats.byteSize() / 4;
        for (long from = 0; from < count; from += CHUNK) {
            out.clear();
            for (long i = from; i < Math.min(count, from + CHUNK); i++) {
                float value = floats.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                if (bfloat16) {
                    out.putShort(toBfloat16(value));
                } else {
                    out.putFloat(value);
                }
            }
            try {
                SafeFiles.writeAll(channel, out.flip());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (value != value) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
