package org.respec.tools.bundle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SlimJarTest {
    @TempDir
    private Path folder;

    @Test
    void nativeCodeOfOtherPlatformsIsLeftOut() {
        for (String kept : List.of("org/bytedeco/openblas/linux-x86_64/libopenblas.so.0",
            "org/bytedeco/openblas/linux-x86_64/libgfortran.so.5",
            "native/lib/linux-x86_64/cpu/libtokenizers.so", "lib/libJCudaDriver-12.6.0-linux-x86_64.so",
            "lib/libJNvrtc-12.6.0-linux-x86_64.so",
            "lib/libJCublas2-12.6.0-linux-x86_64.so", "com/sun/jna/linux-x86-64/libjnidispatch.so",
            "org/jline/nativ/Linux/x86_64/libjlinenative.so",
            "org/respec/bindings/gpu/emulator/cuda_shim.h", "org/respec/kernels/cuda/rms_norm.cu", "a/B.class", "META-INF/MANIFEST.MF",
            "META-INF/services/x.Y", "META-INF/LICENSE")) {
            assertTrue(SlimJar.carries(kept), kept);
        }
        for (String left : List.of("native/lib/win-x86_64/cpu/tokenizers.dll", "native/lib/linux-aarch64/cpu/libtokenizers.so",
            "native/lib/osx-aarch64/cpu/libtokenizers.dylib", "com/sun/jna/darwin-aarch64/libjnidispatch.jnilib",
            "com/sun/jna/aix-ppc/libjnidispatch.a",
            "com/sun/jna/linux-x86/libjnidispatch.so", "org/bytedeco/openblas/linux-x86_64/libjniopenblas_full.so",
            "lib/libJNvPTXCompiler-12.6.0-linux-x86_64.so", "org/bytedeco/openblas/linux-x86_64/include/cblas.h", "module-info.class",
            "META-INF/versions/9/module-info.class", "META-INF/SIGNER.RSA", "a/")) {
            assertFalse(SlimJar.carries(left), left);
        }
    }

    @Test
    void bytesDependOnContentsAlone() throws IOException {
        Path one = jar("one.jar", 1_000_000_000_000L, "b.txt", "a/", "a/a.txt", "x.dll");
        Path two = jar("two.jar", 1_700_000_000_000L, "a/a.txt", "b.txt", "META-INF/S.SF");
        SlimJar.write(one, folder.resolve("1"));
        SlimJar.write(two, folder.resolve("2"));
        assertArrayEquals(Files.readAllBytes(folder.resolve("1")), Files.readAllBytes(folder.resolve("2")));
        try (ZipFile read = new ZipFile(folder.resolve("1").toFile())) {
            assertEquals(List.of("a/a.txt", "b.txt"), read.stream().map(ZipEntry::getName).toList());
            assertEquals("a/a.txt", new String(read.getInputStream(read.getEntry("a/a.txt")).readAllBytes()));
        }
    }

    private Path jar(String name, long date, String... entries) throws IOException {
        Path file = folder.resolve(name);
        try (OutputStream to = Files.newOutputStream(file); ZipOutputStream out = new ZipOutputStream(to)) {
            for (String entry : entries) {
                ZipEntry each = new ZipEntry(entry);
                each.setTime(date);
                out.putNextEntry(each);
                if (!entry.endsWith("/")) {
                    out.write(entry.getBytes());
                }
                out.closeEntry();
            }
        }
        return file;
    }
}
