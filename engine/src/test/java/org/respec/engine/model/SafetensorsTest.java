package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;

class SafetensorsTest {
    private static final List<TensorSpec> SPECS = List.of(new TensorSpec("a.weight", 3, 4), TensorSpec.vector("b.weight", 5));

    @TempDir
    private Path folder;

    private static void readAll(Path file) {
        try (Safetensors tensors = Safetensors.open(file); Arena arena = Arena.ofConfined()) {
            for (TensorSpec spec : SPECS) {
                tensors.read(spec, arena.allocate(4L * spec.rows() * spec.cols(), 4));
            }
        }
    }

    private Path file(String header, int dataBytes) throws IOException {
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + text.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).put(text);
        return Files.write(folder.resolve("model.safetensors"), bytes.array());
    }

    private static String entry(String name, String dtype, String shape, long from, long to) {
        return String.format(Locale.ROOT, "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}", name, dtype, shape, from, to);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatIsWrittenIsRead(boolean bfloat16) {
        Path file = folder.resolve("model.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment values = arena.allocate(4 * 17, 4);
            for (int i = 0; i < 17; i++) {
                values.setAtIndex(ValueLayout.JAVA_FLOAT, i, bfloat16 ? (i - 8) * 0.25f : (float) Math.exp(i) * 1e-3f);
            }
            Safetensors.write(file, SPECS, sink -> {
                sink.accept(values.asSlice(0, 20));
                sink.accept(values.asSlice(20));
            }, bfloat16);
            MemorySegment back = arena.allocate(4 * 17, 4);
            try (Safetensors tensors = Safetensors.open(file)) {
                tensors.read(SPECS.get(0), back.asSlice(0, 48));
                tensors.read(SPECS.get(1), back.asSlice(48, 20));
            }
            assertEquals(-1, values.mismatch(back));
        }
    }

    @ParameterizedTest
    @CsvSource({"F32, 7fc00000", "F32, ff800000", "BF16, 7f80", "BF16, ffff", "F16, 7c00", "F16, 7e01"})
    void whatIsNotFiniteIsRefused(String dtype, String bits) throws IOException {
        int bytes = bits.length() / 2;
        Path file = file("{" + entry("b.weight", dtype, "[5]", 0, 5L * bytes) + "}", 5 * bytes);
        byte[] all = Files.readAllBytes(file);
        for (int i = 0; i < bytes; i++) {
            all[all.length - 2 * bytes + i] = (byte) Integer.parseInt(bits.substring(2 * (bytes - 1 - i), 2 * (bytes - i)), 16);
        }
        Files.write(file, all);
        try (Safetensors tensors = Safetensors.open(file); Arena arena = Arena.ofConfined()) {
            BadInput bad = assertThrows(BadInput.class, () -> tensors.read(SPECS.get(1), arena.allocate(20, 4)));
            assertTrue(bad.getMessage().startsWith(file + ": tensor b.weight holds infinity or NaN"), bad.getMessage());
        }
    }

    @Test
    void bfloat16RoundsToNearestEven() {
        assertEquals((short) 0x3f80, Safetensors.toBfloat16(1f));
        assertEquals((short) 0x3f80, Safetensors.toBfloat16(Float.intBitsToFloat(0x3f808000)), "a tie to even");
        assertEquals((short) 0x3f82, Safetensors.toBfloat16(Float.intBitsToFloat(0x3f818000)), "a tie to even, upwards");
        assertEquals((short) 0x3f81, Safetensors.toBfloat16(Float.intBitsToFloat(0x3f808001)));
        assertEquals((short) 0x7f80, Safetensors.toBfloat16(Float.MAX_VALUE));
        assertTrue(Float.isNaN(Float.intBitsToFloat(Safetensors.toBfloat16(Float.NaN) << 16)));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{} | 4 | holds 4 bytes of tensors",
        "[] | 0 | does not begin with '{'",
        "{\"a\":3} | 0 | tensor a must be described",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]} | 4 | not valid JSON",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}} | 8 | tensor a has dtype F64",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}} | 8 | Duplicate",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}} | 12 | must not overlap",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}} | 12 | no holes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} | 4 | lies at bytes 0 to 8 of 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}} | 8 | offsets must rise",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}} | 4 | whole number of at least 0",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}} | 8 | has shape [3] of F32 but 8 bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}} | 8 | overflows",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]}} | 4 | whole number",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}} | 4 | whole number",
        "{\"__metadata__\":{\"format\":1}} | 0 | __metadata__"})
    void brokenHeadersAreNamed(String header, int bytes, String message) throws IOException {
        Path file = file(header, bytes);
        BadInput e = assertThrows(BadInput.class, () -> Safetensors.open(file));
        assertTrue(e.getMessage().startsWith(file.toString()) && e.getMessage().contains(message), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
    }

    @Test
    void brokenFilesAreNamed() throws IOException {
        Path file = folder.resolve("model.safetensors");
        for (long length : new long[] {100_000_001, Long.MAX_VALUE, -1, 0, 1}) {
            Files.write(file, ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array());
            BadInput e = assertThrows(BadInput.class, () -> Safetensors.open(file));
            assertTrue(e.getMessage().contains("header has " + Long.toUnsignedString(length)), e.getMessage());
        }
        Files.write(file, ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(57).array());
        assertTrue(assertThrows(BadInput.class, () -> Safetensors.open(file)).getMessage().contains("truncated"));
        Files.write(file, new byte[7]);
        assertTrue(assertThrows(BadInput.class, () -> Safetensors.open(file)).getMessage().contains("truncated"));
        Files.delete(file);
        assertTrue(assertThrows(BadInput.class, () -> Safetensors.open(file)).getMessage().contains("no such file"));
    }

    @Test
    void wrongTensorsAreNamed() throws IOException {
        Path missing = file("{" + entry("a.weight", "F32", "[3,4]", 0, 48) + "}", 48);
        assertTrue(assertThrows(BadInput.class, () -> readAll(missing)).getMessage().contains("tensor b.weight is missing"));
        Path shaped = file("{" + entry("a.weight", "F32", "[4,3]", 0, 48) + "}", 48);
        assertTrue(assertThrows(BadInput.class, () -> readAll(shaped)).getMessage().contains("has shape [4, 3]"));
    }

    /** Twenty thousand damaged files: each is read or refused in one sentence, and nothing else happens. */
    @Test
    void damageIsReadOrRefused() throws IOException {
        long seed = 11;
        SplittableRandom random = new SplittableRandom(seed);
        Path whole = file("{" + entry("a.weight", "F32", "[3,4]", 0, 48) + "," + entry("b.weight", "BF16", "[5]", 48, 58) + "}", 58);
        byte[] original = Files.readAllBytes(whole);
        Path file = folder.resolve("damaged.safetensors");
        int read = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = original.clone();
            for (int change = random.nextInt(3); change >= 0; change--) {
                int at = random.nextInt(Math.min(bytes.length, 8 + 150));
                switch (random.nextInt(5)) {
                    case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                    case 1 -> bytes[at] = (byte) "0123456789{}[],:\"-e.".charAt(random.nextInt(20));
                    case 2 -> bytes = Arrays.copyOf(bytes, Math.max(9, at));
                    case 3 -> bytes = Arrays.copyOf(bytes, bytes.length + random.nextInt(9));
                    default -> {
                        int from = random.nextInt(bytes.length);
                        System.arraycopy(bytes, from, bytes, at, Math.min(4, bytes.length - Math.max(at, from)));
                    }
                }
            }
            Files.write(file, bytes);
            try {
                readAll(file);
                read++;
            } catch (BadInput e) {
                assertEquals(1, e.getMessage().lines().count(), e.getMessage());
            } catch (Throwable e) {
                fail("seed " + seed + ", file " + i, e);
            }
        }
        assertTrue(read > 0 && read < 10_000, read + " of the damaged files were readable");
    }
}
