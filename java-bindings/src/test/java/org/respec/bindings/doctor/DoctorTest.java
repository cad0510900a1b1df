package org.respec.bindings.doctor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.LibraryPlaces;

class DoctorTest {
    @TempDir
    private Path folder;

    @Test
    void whatIsThereWhatIsNotAndHowToMendIt() throws Exception {
        Path bad = Files.createDirectory(folder.resolve("bad"));
        Files.writeString(bad.resolve("libcublas.so.12"), "no library");
        Path commands = Files.createDirectory(folder.resolve("bin"));
        Path compiler = Files.writeString(commands.resolve("clang++"), "#!/bin/sh\necho clang version 99\n");
        assertTrue(compiler.toFile().setExecutable(true));
        List<Finding> all = new Doctor(new CudaLibraries(new LibraryPlaces(false, List.of(bad), true)), List.of(commands)).examine();
        Map<String, Finding> findings = all.stream().collect(Collectors.toMap(Finding::subject, finding -> finding));
        assertEquals(Finding.State.OK, findings.get("processor").state());
        assertTrue(findings.get("processor").found().matches(".*, \\d+ threads, vectors of \\d+ bits"), findings.get("processor").found());
        assertTrue(findings.get("java").found().startsWith("25"), findings.get("java").found());
        assertEquals(Finding.ok("c++ compiler", compiler + ": clang version 99"), findings.get("c++ compiler"));
        assertEquals(Finding.State.ABSENT, findings.get("nvidia driver").state());
        assertTrue(findings.get("nvidia driver").fix().startsWith("install NVIDIA's driver"));
        assertEquals("not needed without a device", findings.get("nvml").fix());
        assertEquals(Finding.State.OK, findings.get("nvrtc 12").state());
        assertTrue(findings.get("kernel compiler").found().startsWith("NVRTC 12.9 ("), findings.get("kernel compiler").found());
        assertEquals("not needed beside the other version", findings.get("nvrtc 13").fix());
        assertEquals("the loader's own, " + bad, findings.get("library folders").found());
        assertEquals(Finding.State.REFUSED, findings.get("cublas 12").state());
        assertEquals(bad + "/libcublas.so.12: file too short", findings.get("cublas 12").found());
        assertTrue(findings.get("cublas 13").fix().contains("pip install nvidia-cublas"));
        for (Finding finding : all) {
            assertFalse(finding.state() != Finding.State.OK && finding.fix().isEmpty(), finding.toString());
        }
    }

    @Test
    void aCompilerThatDoesNotRunIsNoCompiler() throws Exception {
        Path commands = Files.createDirectory(folder.resolve("bin"));
        Path compiler = Files.writeString(commands.resolve("g++"), "#!/bin/sh\nexit 3\n");
        assertTrue(compiler.toFile().setExecutable(true));
        CudaLibraries none = new CudaLibraries(new LibraryPlaces(false, List.of(), false));
        Finding broken = find(new Doctor(none, List.of(commands)).examine());
        assertEquals(Finding.State.REFUSED, broken.state());
        assertEquals(Finding.State.ABSENT, find(new Doctor(none, List.of()).examine()).state());
    }

    private static Finding find(List<Finding> findings) {
        return findings.stream().filter(finding -> finding.subject().equals("c++ compiler")).findFirst().orElseThrow();
    }
}
