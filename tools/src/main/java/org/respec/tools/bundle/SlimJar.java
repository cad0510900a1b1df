package org.respec.tools.bundle;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * A jar without what Linux on x86-64 never loads, its entries in the order of their names, all of one date, and not compressed: the
 * archive around it compresses better, and classes load faster.
 */
final class SlimJar {
    private static final LocalDateTime DATE = LocalDateTime.of(1980, 1, 1, 0, 0);
    private static final Pattern NATIVE = Pattern.compile(".*\\.(so(\\.\\d+)*|dll|dylib|jnilib|a|lib|exe)");
    private static final Pattern OURS = Pattern.compile(".*[Ll]inux[-/]x86[-_]64.*");
    /** Native code that nothing here calls: Java wrappers of OpenBLAS, of which we take the library itself, and parts of JCuda. */
    private static final Pattern UNUSED = Pattern.compile(".*/lib(jniopenblas.*|JNvPTXCompiler-.*|JCublas-.*|JCudaRuntime-.*)\\.so");
    /** Headers and build files of native code, signatures (they would miss entries), and module descriptors (this is a class path). */
    private static final Pattern NO_USE = Pattern.compile("org/bytedeco/.*\\.(h|pc|cmake)|META-INF/[^/]*\\.(SF|RSA|DSA|EC)"
        + "|(.*/)?module-info\\.class|META-INF/native-image/.*");

    private SlimJar() {
    }

    /** Whether an entry is carried. */
    static boolean carries(String entry) {
        if (entry.endsWith("/") || NO_USE.matcher(entry).matches()) {
            return false;
        }
        return !NATIVE.matcher(entry).matches() || OURS.matcher(entry).matches() && !UNUSED.matcher("/" + entry).matches();
    }

    /** Writes the jar {@code from}, or a folder of classes, as the jar {@code to}. */
    static void write(Path from, Path to) throws IOException {
        try (OutputStream file = new BufferedOutputStream(Files.newOutputStream(to), 1 << 16);
             ZipOutputStream out = new ZipOutputStream(file)) {
            out.setMethod(ZipOutputStream.STORED);
            if (Files.isDirectory(from)) {
                for (Map.Entry<String, Path> each : files(from).entrySet()) {
                    add(out, each.getKey(), Files.readAllBytes(each.getValue()));
                }
                return;
            }
            try (ZipFile jar = new ZipFile(from.toFile())) {
                List<String> names = jar.stream().map(ZipEntry::getName).filter(SlimJar::carries).sorted().toList();
                for (String name : names) {
                    try (InputStream in = jar.getInputStream(jar.getEntry(name))) {
                        add(out, name, in.readAllBytes());
                    }
                }
            }
        }
    }

    private static Map<String, Path> files(Path folder) throws IOException {
        Map<String, Path> found = new TreeMap<>();
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                String name = folder.relativize(file).toString();
                if (carries(name)) {
                    found.put(name, file);
                }
                return FileVisitResult.CONTINUE;
            }
        });
        return found;
    }

    private static void add(ZipOutputStream out, String name, byte[] bytes) throws IOException {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        ZipEntry entry = new ZipEntry(name);
        entry.setTimeLocal(DATE);
        entry.setSize(bytes.length);
        entry.setCompressedSize(bytes.length);
        entry.setCrc(crc.getValue());
        out.putNextEntry(entry);
        out.write(bytes);
        out.closeEntry();
    }
}
