package org.respec.bindings.nvrtc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.KernelImage;
import org.respec.bindings.gpu.KernelSource;

class CubinCacheTest {
    @TempDir
    private Path folder;

    /** Counts what it compiles, slowly enough that others come to wait. */
    static final class Counting implements KernelCompiler {
        private final String version;
        private final AtomicInteger count = new AtomicInteger();
        private volatile int failures;

        Counting(String version) {
            this.version = version;
        }

        @Override
        public String version() {
            return version;
        }

        @Override
        public int major() {
            return 12;
        }

        @Override
        public String origin() {
            return "test";
        }

        @Override
        public SortedSet<Integer> capabilities() {
            return new TreeSet<>(List.of(80, 90));
        }

        @Override
        public KernelImage compile(KernelSource source, String architecture) {
            int number = count.incrementAndGet();
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            if (failures > 0) {
                failures--;
                throw new GpuException("does not compile");
            }
            return new KernelImage(source.label(), ("cubin " + number + architecture + source.text()).getBytes(), "log \u00fc of "
                + number);
        }
    }

    @Test
    void aCacheKnowsWhatItHolds() throws IOException {
        CubinCache cache = new CubinCache(folder.resolve("cubins"));
        Counting compiler = new Counting("1");
        KernelSource source = source("text", Map.of(), Map.of());
        assertFalse(cache.holds(source, "sm_90a", compiler));
        cache.get(source, "sm_90a", compiler);
        assertTrue(cache.holds(source, "sm_90a", compiler));
        assertFalse(cache.holds(source, "sm_80", compiler));
        Path file;
        try (Stream<Path> files = Files.list(folder.resolve("cubins"))) {
            file = files.filter(path -> path.toString().endsWith(".cubin")).findFirst().orElseThrow();
        }
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 1] ^= 1;
        Files.write(file, bytes);
        assertFalse(cache.holds(source, "sm_90a", compiler), "it was damaged");
        assertEquals(1, compiler.count.get());
    }

    private static KernelSource source(String text, Map<String, String> headers, Map<String, String> defines) {
        return new KernelSource("a.cu", text, new TreeMap<>(headers), new TreeMap<>(defines), List.of("a"));
    }

    @Test
    void theSecondTimeIsFromDisk() throws IOException {
        Counting compiler = new Counting("NVRTC 1");
        KernelSource source = source("text", Map.of("h", "t"), Map.of("A", "1"));
        KernelImage first = new CubinCache(folder.resolve("c")).get(source, "sm_90a", compiler);
        KernelImage second = new CubinCache(folder.resolve("c")).get(source, "sm_90a", compiler);
        assertEquals(1, compiler.count.get());
        assertArrayEquals(first.bytes(), second.bytes());
        assertEquals("log \u00fc of 1", second.log());
        assertEquals("a.cu[A=1]", second.label());
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("c"))));
    }

    @Test
    void whateverMattersIsInTheName() {
        CubinCache cache = new CubinCache(folder);
        Counting compiler = new Counting("NVRTC 1");
        List<Runnable> asks = List.of(
            () -> cache.get(source("text", Map.of("h", "t"), Map.of("A", "1")), "sm_90a", compiler),
            () -> cache.get(source("text2", Map.of("h", "t"), Map.of("A", "1")), "sm_90a", compiler),
            () -> cache.get(source("text", Map.of("h", "t2"), Map.of("A", "1")), "sm_90a", compiler),
            () -> cache.get(source("text", Map.of("h2", "t"), Map.of("A", "1")), "sm_90a", compiler),
            () -> cache.get(source("text", Map.of("h", "t"), Map.of("A", "2")), "sm_90a", compiler),
            () -> cache.get(source("text", Map.of("h", "t"), Map.of("A", "1", "B", "1")), "sm_90a", compiler),
            () -> cache.get(source("text", Map.of("h", "t"), Map.of("A", "1")), "sm_80", compiler),
            // Parts that run together into the same characters.
            () -> cache.get(source("text", Map.of("ht", ""), Map.of("A", "1")), "sm_90a", compiler));
        asks.forEach(Runnable::run);
        assertEquals(asks.size(), compiler.count.get());
        asks.forEach(Runnable::run);
        assertEquals(asks.size(), compiler.count.get());
        Counting newer = new Counting("NVRTC 2");
        cache.get(source("text", Map.of("h", "t"), Map.of("A", "1")), "sm_90a", newer);
        assertEquals(1, newer.count.get());
    }

    @Test
    void anyDamageIsCompiledAnew() throws IOException {
        Counting compiler = new Counting("NVRTC 1");
        KernelSource source = source("text", Map.of(), Map.of());
        CubinCache cache = new CubinCache(folder);
        cache.get(source, "sm_90a", compiler);
        Path file = folder.resolve(CubinCache.key(source, "sm_90a", compiler) + ".cubin");
        byte[] whole = Files.readAllBytes(file);
        int expected = 1;
        for (int at : new int[] {0, 7, 8, 39, 40, 43, 44, 50, whole.length - 1}) {
            byte[] damaged = whole.clone();
            damaged[at] ^= 0x40;
            Files.write(file, damaged);
            KernelImage image = cache.get(source, "sm_90a", compiler);
            assertEquals(++expected, compiler.count.get(), "byte " + at);
            assertEquals("log \u00fc of " + expected, image.log());
            whole = Files.readAllBytes(file);
        }
        for (int length : new int[] {0, 8, 43, 44, whole.length - 1}) {
            Files.write(file, Arrays.copyOf(whole, length));
            cache.get(source, "sm_90a", compiler);
            assertEquals(++expected, compiler.count.get(), "cut to " + length);
        }
        cache.get(source, "sm_90a", compiler);
        assertEquals(expected, compiler.count.get());
    }

    @Test
    void threadsWaitForTheFirst() throws Exception {
        Counting compiler = new Counting("NVRTC 1");
        CubinCache shared = new CubinCache(folder);
        CountDownLatch start = new CountDownLatch(1);
        List<Future<KernelImage>> all = new ArrayList<>();
        try (ExecutorService threads = Executors.newFixedThreadPool(12)) {
            for (int i = 0; i < 12; i++) {
                // Half through one cache object, half through others over the same folder.
                CubinCache cache = i % 2 == 0 ? shared : new CubinCache(folder);
                all.add(threads.submit(() -> {
                    start.await();
                    return cache.get(source("text", Map.of(), Map.of()), "sm_90a", compiler);
                }));
            }
            start.countDown();
            for (Future<KernelImage> one : all) {
                assertArrayEquals(all.getFirst().get().bytes(), one.get().bytes());
            }
        }
        assertEquals(1, compiler.count.get());
        assertNoRubbish();
    }

    /** One of several processes in a race; prints how often it compiled. */
    public static final class Racer {
        private Racer() {
        }

        public static void main(String[] arguments) throws IOException {
            Counting compiler = new Counting("NVRTC 1");
            CubinCache cache = new CubinCache(Path.of(arguments[0]));
            System.out.println("ready");
            System.in.read();
            for (int i = 0; i < 8; i++) {
                KernelImage image = cache.get(source("text " + i, Map.of(), Map.of()), "sm_90a", compiler);
                if (!new String(image.bytes()).endsWith("sm_90atext " + i)) {
                    throw new IllegalStateException("wrong cubin");
                }
            }
            System.out.println("compiled " + compiler.count.get());
        }
    }

    @Test
    void processesWaitForTheFirst() throws Exception {
        List<Process> racers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            racers.add(new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), Racer.class.getName(), folder.toString())
                .redirectErrorStream(true).start());
        }
        List<BufferedReader> outputs = racers.stream().map(Process::inputReader).toList();
        for (BufferedReader output : outputs) {
            assertEquals("ready", output.readLine());
        }
        for (Process racer : racers) {
            racer.outputWriter().append("\n").flush();
        }
        int compiled = 0;
        for (int i = 0; i < racers.size(); i++) {
            String line = outputs.get(i).readLine();
            assertTrue(line.startsWith("compiled "), line);
            compiled += Integer.parseInt(line.substring(9));
            assertTrue(racers.get(i).waitFor(30, TimeUnit.SECONDS));
        }
        assertEquals(8, compiled);
        assertNoRubbish();
    }

    @Test
    void failuresAreNotKept() throws IOException {
        Counting compiler = new Counting("NVRTC 1");
        compiler.failures = 1;
        CubinCache cache = new CubinCache(folder);
        KernelSource source = source("text", Map.of(), Map.of());
        assertThrows(GpuException.class, () -> cache.get(source, "sm_90a", compiler));
        cache.get(source, "sm_90a", compiler);
        assertEquals(2, compiler.count.get());
        assertNoRubbish();
    }

    @Test
    void aFolderThatCannotBeUsedIsNamed() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        GpuException e = assertThrows(GpuException.class, () -> new CubinCache(file));
        assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
        Path open = Files.createDirectory(folder.resolve("open"), PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(
            "rwxrwxrwx")));
        new CubinCache(open);
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(open)));
    }

    @Test
    void keysAreStable() {
        SortedMap<String, String> none = new TreeMap<>();
        KernelSource one = new KernelSource("a.cu", "x", none, none, List.of("a"));
        assertEquals(64, CubinCache.key(one, "sm_80", new Counting("N")).length());
        assertEquals(CubinCache.key(one, "sm_80", new Counting("N")), CubinCache.key(one, "sm_80", new Counting("N")));
        assertNotEquals(CubinCache.key(one, "sm_80", new Counting("N")), CubinCache.key(new KernelSource("b.cu", "x", none, none,
            List.of("a")),
            "sm_80", new Counting("N")));
        assertNotEquals(CubinCache.key(one, "sm_80", new Counting("N")), CubinCache.key(new KernelSource("a.cu", "x", none, none,
            List.of("b")),
            "sm_80", new Counting("N")));
    }

    private void assertNoRubbish() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            assertFalse(files.anyMatch(file -> file.toString().endsWith(".tmp")));
        }
    }
}
