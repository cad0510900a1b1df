package org.respec.tools.bundle;

import java.io.BufferedOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.Deflater;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.apache.commons.compress.compressors.gzip.GzipCompressorOutputStream;
import org.apache.commons.compress.compressors.gzip.GzipParameters;

/**
 * A folder as a {@code .tar.gz} whose bytes depend on names and contents alone: entries in order, one date, no owner. gzip, since a
 * bare container image often has no xz.
 */
final class TarGz {
    private static final FileTime DATE = FileTime.fromMillis(315_532_800_000L);

    private TarGz() {
    }

    /**
     * Writes {@code folder} and everything under it, under its own name.
     *
     * @param level of compression, 1 to 9
     * @return the parts, named by their first folder
     */
    static Map<String, Bundle.Part> write(Path folder, OutputStream to, int level) throws IOException {
        Counter counter = new Counter(to);
        GzipParameters parameters = new GzipParameters();
        parameters.setCompressionLevel(level);
        parameters.setDeflateStrategy(Deflater.DEFAULT_STRATEGY);
        parameters.setBufferSize(1 << 16);
        Map<String, Bundle.Part> parts = new LinkedHashMap<>();
        try (TarArchiveOutputStream tar = new TarArchiveOutputStream(new BufferedOutputStream(
            new GzipCompressorOutputStream(counter, parameters), 1 << 16))) {
            tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
            for (Path path : inOrder(folder)) {
                Path name = folder.relativize(path);
                long before = counter.written;
                long bytes = add(tar, path, folder.getFileName().resolve(name).toString());
                tar.flush();
                parts.merge(name.getName(0).toString(), new Bundle.Part(bytes, counter.written - before),
                    (a, b) -> new Bundle.Part(a.bytes() + b.bytes(), a.packed() + b.packed()));
            }
        }
        parts.remove("");
        return parts;
    }

    /** By the text of their paths, so that it is the same on every file system. */
    private static List<Path> inOrder(Path folder) throws IOException {
        List<Path> found = new ArrayList<>();
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
                found.add(path);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) {
                found.add(path);
                return FileVisitResult.CONTINUE;
            }
        });
        found.sort((a, b) -> a.toString().compareTo(b.toString()));
        return found;
    }

    private static long add(TarArchiveOutputStream tar, Path path, String name) throws IOException {
        boolean link = Files.isSymbolicLink(path);
        boolean directory = Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS);
        TarArchiveEntry entry;
        if (link) {
            entry = new TarArchiveEntry(name, TarConstants.LF_SYMLINK);
            entry.setLinkName(Files.readSymbolicLink(path).toString());
            entry.setMode(0777);
        } else {
            entry = new TarArchiveEntry(directory ? name + "/" : name);
            entry.setMode(directory || Files.isExecutable(path) ? 0755 : 0644);
        }
        long bytes = link || directory ? 0 : Files.size(path);
        entry.setSize(bytes);
        entry.setModTime(DATE);
        entry.setIds(0, 0);
        entry.setNames("root", "root");
        tar.putArchiveEntry(entry);
        if (bytes > 0) {
            Files.copy(path, tar);
        }
        tar.closeArchiveEntry();
        return bytes;
    }

    private static final class Counter extends FilterOutputStream {
        private long written;

        Counter(OutputStream out) {
            super(out);
        }

        @Override
        public void write(int b) throws IOException {
            out.write(b);
            written++;
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
            written += length;
        }
    }
}
