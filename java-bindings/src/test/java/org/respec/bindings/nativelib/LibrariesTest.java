package org.respec.bindings.nativelib;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.jcuda.FakeLibraries;
import org.respec.bindings.gpu.jcuda.JcudaDriver;
import org.respec.bindings.nvml.Nvml;
import org.respec.bindings.nvrtc.CubinCache;

/** Finding libraries: in made-up file trees, in files that are no libraries, in jars. */
class LibrariesTest {
    @TempDir
    private Path root;

    private Path make(String folder) throws IOException {
        return Files.createDirectories(root.resolve(folder));
    }

    @Test
    void toolkitsThenTheSystemThenPythons() throws IOException {
        Path home = make("home/me");
        make("usr/local/cuda-12.9/targets/x86_64-linux/lib");
        Files.createSymbolicLink(make("usr/local/cuda-12.9").resolve("lib64"),
            root.resolve("usr/local/cuda-12.9/targets/x86_64-linux/lib"));
        make("usr/local/cuda-12.10/lib64");
        make("usr/local/cuda-13.0/lib64");
        make("usr/local/cuda/lib64");
        make("usr/local/cuda-old/lib64");
        make("usr/lib/x86_64-linux-gnu");
        make("usr/lib/wsl/lib");
        make("usr/local/nvidia/lib64");
        make("opt/torch/.venv/lib/python3.12/site-packages/nvidia/cu13/lib");
        make("opt/conda/conda-meta");
        make("opt/conda/envs/train/lib64/python3.12/site-packages/nvidia/cublas/lib");
        make("home/me/other/.venv/lib/python3.12/site-packages/nvidia/cu13/lib");
        make("usr/lib/python3/dist-packages/nvidia/cublas/lib");
        make("usr/local/lib/python3.12/dist-packages/nvidia/cu13/lib");
        make("opt/conda/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib");
        make("home/me/.local/lib/python3.10/site-packages/nvidia/cublas/lib");
        make("home/me/.pyenv/versions/3.13.1/lib/python3.13/site-packages/nvidia/cu13/lib");
        make("home/me/project/venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib");
        make("home/me/project/venv/lib/python3.12/site-packages/nvidia/cublas/include");
        Files.createFile(make("srv/python/bin").resolve("python3.12"));
        make("srv/python/lib/python3.12/site-packages/nvidia/cublas/lib");
        Files.createSymbolicLink(make("home/me/project/venv/bin").resolve("python3"), root.resolve("srv/python/bin/python3.12"));
        Files.createSymbolicLink(make("broken/bin").resolve("python3"), root.resolve("nowhere"));
        List<String> found = LibraryPlaces.search(root, home, List.of(root.resolve("broken/bin"), root.resolve("home/me/project/venv/bin"),
            root.resolve("home/me/none"))).stream().map(path -> root.relativize(path).toString()).toList();
        assertEquals(List.of("usr/local/cuda/lib64", "usr/local/cuda-13.0/lib64", "usr/local/cuda-12.10/lib64", "usr/local/cuda-12.9/lib64",
            "usr/local/cuda-12.9/targets/x86_64-linux/lib", "usr/local/cuda-old/lib64", "usr/local/nvidia/lib64",
            "usr/lib/x86_64-linux-gnu", "usr/lib/wsl/lib",
            "home/me/project/venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib",
                "srv/python/lib/python3.12/site-packages/nvidia/cublas/lib",
            "usr/local/lib/python3.12/dist-packages/nvidia/cu13/lib", "usr/lib/python3/dist-packages/nvidia/cublas/lib",
            "opt/conda/lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib", "opt/conda/lib",
            "opt/conda/envs/train/lib64/python3.12/site-packages/nvidia/cublas/lib",
            "opt/torch/.venv/lib/python3.12/site-packages/nvidia/cu13/lib",
            "home/me/.local/lib/python3.10/site-packages/nvidia/cublas/lib",
            "home/me/other/.venv/lib/python3.12/site-packages/nvidia/cu13/lib",
            "home/me/.pyenv/versions/3.13.1/lib/python3.13/site-packages/nvidia/cu13/lib"), found);
        assertEquals(List.of(), LibraryPlaces.search(root.resolve("empty"), root.resolve("empty"), List.of()));
    }

    @Test
    void whatIsNotThereIsSaidWithTheFix() {
        CudaLibraries none = new CudaLibraries(new LibraryPlaces(false, List.of(), false));
        for (CudaLibrary library : CudaLibrary.values()) {
            assertEquals(Optional.empty(), none.find(library));
            assertEquals(library.soname() + " was not found: " + library.remedy(), none.missing(library));
            assertEquals(List.of(), none.refusals(library));
        }
        GpuException e = assertThrows(GpuException.class, () -> none.require(CudaLibrary.NVRTC_13));
        assertEquals("libnvrtc.so.13 was not found: install a CUDA 13 toolkit, or pip install nvidia-cuda-nvrtc", e.getMessage());
    }

    @Test
    void aMachineWithoutADriverIsRefusedInOneSentence() {
        CudaLibraries none = new CudaLibraries(LibraryPlaces.classPathOnly());
        String sentence = "libcuda.so.1 was not found: install NVIDIA's driver, 525 or newer (in a container: run it with --gpus all)";
        assertEquals(sentence, assertThrows(GpuException.class, () -> JcudaDriver.open(none, new CubinCache(root), 0)).getMessage());
        assertTrue(assertThrows(GpuException.class, () ->
            Nvml.open(none)).getMessage().startsWith("libnvidia-ml.so.1 was not found: it comes with"));
    }

    @Test
    void refusedFilesAreNamedWithTheLoadersReason() throws IOException {
        Path bad = make("bad");
        Files.writeString(bad.resolve("libcuda.so.1"), "not a library, but long enough to look at its first bytes: " + "x".repeat(100));
        Path cut = make("cut");
        Files.write(cut.resolve("libcuda.so.1"), new byte[] {0x7f, 'E', 'L', 'F'});
        CudaLibraries libraries = new CudaLibraries(new LibraryPlaces(false, List.of(bad, cut), false));
        assertEquals(Optional.empty(), libraries.find(CudaLibrary.DRIVER));
        assertEquals(List.of(bad + "/libcuda.so.1: invalid ELF header", cut + "/libcuda.so.1: file too short"), libraries.refusals(
            CudaLibrary.DRIVER));
        assertTrue(libraries.missing(CudaLibrary.DRIVER).startsWith("libcuda.so.1 cannot be used (" + bad
            + "/libcuda.so.1: invalid ELF header; "));
    }

    @Test
    void theFirstThatLoadsIsTaken() throws IOException, InterruptedException {
        assumeTrue(FakeLibraries.compiler() != null, "no C compiler (gcc, cc or clang) is on the path");
        Path bad = make("bad");
        Files.writeString(bad.resolve("libnvidia-ml.so.1"), "no");
        Path good = make("good");
        FakeLibraries.build("nvml.c", good, "libnvidia-ml.so.1", null);
        CudaLibraries libraries = new CudaLibraries(new LibraryPlaces(false, List.of(bad, good), false));
        NativeLibrary found = libraries.require(CudaLibrary.NVML);
        assertEquals(good.resolve("libnvidia-ml.so.1").toString(), found.file());
        assertEquals(1, libraries.refusals(CudaLibrary.NVML).size());
        assertTrue(found.has("nvmlInit_v2"));
        assertFalse(found.has("nvmlInit_v9"));
        assertTrue(assertThrows(IllegalStateException.class, () -> found.function("nvmlInit_v9", FunctionDescriptor.ofVoid()))
            .getMessage().contains("has no function nvmlInit_v9"));
    }

    @Test
    void anNvrtcWithoutItsBuiltinsIsRefused() throws IOException, InterruptedException {
        assumeTrue(FakeLibraries.compiler() != null, "no C compiler (gcc, cc or clang) is on the path");
        Path folder = make("nvrtc");
        FakeLibraries.build("nvrtc.c", folder, "libnvrtc.so.13", null);
        CudaLibraries libraries = new CudaLibraries(new LibraryPlaces(false, List.of(folder), false));
        assertEquals(Optional.empty(), libraries.find(CudaLibrary.NVRTC_13));
        assertEquals(List.of(folder
            + "/libnvrtc.so.13 needs libnvrtc-builtins.so.13.77, which is not beside it nor where the loader looks"),
            libraries.refusals(CudaLibrary.NVRTC_13));
        // With the builtins beside it, as in a wheel, it is taken.
        FakeLibraries.build("nvrtc.c", folder, "libnvrtc-builtins.so.13.77", null);
        CudaLibraries again = new CudaLibraries(new LibraryPlaces(false, List.of(folder), false));
        assertEquals(folder + "/libnvrtc.so.13", again.require(CudaLibrary.NVRTC_13).file());
    }

    @Test
    void largeLibrariesAreCopiedOnceAndHashedThen() throws IOException {
        String folder = "org/bytedeco/cuda/linux-x86_64";
        Path cache = root.resolve("natives");
        Path copy = NativeLibraries.extract(folder, "libnvrtc.so.12", cache);
        assertEquals(106237008, Files.size(copy));
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(copy.getParent())));
        Path mark = copy.resolveSibling("libnvrtc.so.12.sha256");
        assertEquals(64, Files.size(mark));
        FileTime written = Files.getLastModifiedTime(copy);
        Object inode = Files.getAttribute(copy, "unix:ino");
        assertEquals(copy, NativeLibraries.extract(folder, "libnvrtc.so.12", cache));
        assertEquals(inode, Files.getAttribute(copy, "unix:ino"));
        assertEquals(written, Files.getLastModifiedTime(copy));
        // A copy that was cut short, as by a full disk, is made anew.
        try (FileChannel channel = FileChannel.open(copy, StandardOpenOption.WRITE)) {
            channel.truncate(1000);
        }
        NativeLibraries.extract(folder, "libnvrtc.so.12", cache);
        assertEquals(106237008, Files.size(copy));
        try (Stream<Path> files = Files.list(copy.getParent())) {
            assertEquals(2, files.count());
        }
    }

    @Test
    void smallLibrariesAreCheckedByTheirHash() throws IOException {
        Path cache = root.resolve("natives");
        Path copy = NativeLibraries.extract("lib", "libJNvrtc-12.6.0-linux-x86_64.so", cache);
        byte[] whole = Files.readAllBytes(copy);
        byte[] changed = whole.clone();
        changed[5000] ^= 1;
        Files.write(copy, changed);
        assertEquals(copy, NativeLibraries.extract("lib", "libJNvrtc-12.6.0-linux-x86_64.so", cache));
        assertEquals(-1, Arrays.mismatch(whole, Files.readAllBytes(copy)));
        assertThrows(IllegalStateException.class, () -> NativeLibraries.extract("lib", "none.so", cache));
    }
}
