package org.respec.bindings.doctor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import jdk.incubator.vector.FloatVector;
import org.respec.bindings.blas.OpenBlas;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.jcuda.CudaDevices;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.CudaLibrary;
import org.respec.bindings.nativelib.LibraryPlaces;
import org.respec.bindings.nativelib.NativeLibrary;
import org.respec.bindings.nativelib.PrivateFolder;
import org.respec.bindings.nvml.GpuStatus;
import org.respec.bindings.nvml.Nvml;
import org.respec.bindings.nvml.NvmlDevice;
import org.respec.bindings.nvrtc.KernelCompiler;
import org.respec.bindings.nvrtc.KernelCompilers;

/** Looks at everything outside the program that it can use, and says what is there, what is not, and how to mend it. Fails at nothing. */
public final class Doctor {
    private final CudaLibraries libraries;
    private final List<Path> executables;
    private final List<Finding> findings = new ArrayList<>();

    /** One that looks in the usual places and along {@code PATH}. */
    public static Doctor ofThisMachine() {
        return new Doctor(CudaLibraries.ofThisMachine(), LibraryPlaces.executables());
    }

    /** @param executables folders in which commands are searched */
    public Doctor(CudaLibraries libraries, List<Path> executables) {
        this.libraries = libraries;
        this.executables = List.copyOf(executables);
    }

    /** Looks at everything; takes some seconds where large libraries are loaded. */
    public List<Finding> examine() {
        findings.clear();
        findings.add(Finding.ok("processor", processor() + ", " + Runtime.getRuntime().availableProcessors() + " threads, vectors of "
            + FloatVector.SPECIES_PREFERRED.vectorBitSize() + " bits"));
        findings.add(Finding.ok("java", Runtime.version() + ", " + System.getProperty("java.vm.name") + ", "
            + System.getProperty("java.home")));
        attempt("openblas", this::openBlas);
        attempt("c++ compiler", this::compiler);
        places();
        attempt("nvidia driver", this::driver);
        attempt("nvrtc", this::nvrtc);
        attempt("cublas", this::cublas);
        cache("cache of kernels", "cubins");
        cache("cache of libraries", "natives");
        return List.copyOf(findings);
    }

    /** Whatever happens becomes a finding: a doctor who falls ill helps nobody. */
    private void attempt(String subject, Runnable look) {
        try {
            look.run();
        } catch (RuntimeException | LinkageError e) {
            findings.add(new Finding(subject, Finding.State.REFUSED, firstLine(e), ""));
        }
    }

    private static String processor() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/cpuinfo"))) {
                if (line.startsWith("model name")) {
                    return line.substring(line.indexOf(':') + 1).strip();
                }
            }
        } catch (IOException e) {
            return System.getProperty("os.arch");
        }
        return System.getProperty("os.arch");
    }

    private void openBlas() {
        try {
            OpenBlas.load();
            findings.add(Finding.ok("openblas", "from the class path"));
        } catch (IllegalStateException | UnsatisfiedLinkError e) {
            findings.add(new Finding("openblas", Finding.State.REFUSED, firstLine(e), "matrix products on the CPU need it: it is for Linux"
                + " on x86-64, and is copied to a folder that must be writable"));
        }
    }

    private void compiler() {
        for (String name : List.of("g++", "clang++")) {
            for (Path folder : executables) {
                Path file = folder.resolve(name);
                if (Files.isExecutable(file)) {
                    Optional<String> version = version(file);
                    findings.add(version.map(text -> Finding.ok("c++ compiler", file + ": " + text)).orElseGet(() ->
                        new Finding("c++ compiler",
                        Finding.State.REFUSED, file + " does not run", "reinstall it: the device 'emulator' needs it")));
                    return;
                }
            }
        }
        findings.add(new Finding("c++ compiler", Finding.State.ABSENT, "neither g++ nor clang++ is on the path",
            "install one to use the device 'emulator' and its tests"));
    }

    private static Optional<String> version(Path compiler) {
        try {
            Process process = new ProcessBuilder(compiler.toString(), "--version").redirectErrorStream(true).start();
            String said = new String(process.getInputStream().readAllBytes()).lines().findFirst().orElse("");
            return process.waitFor(10, TimeUnit.SECONDS) && process.exitValue() == 0 ? Optional.of(said) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        }
    }

    private void driver() {
        boolean found = library("nvidia driver", CudaLibrary.DRIVER, CudaLibrary.DRIVER.remedy());
        library("nvml", CudaLibrary.NVML, found ? CudaLibrary.NVML.remedy() : "not needed without a device");
        if (!found) {
            return;
        }
        try {
            CudaDevices devices = new CudaDevices(libraries);
            int ordinal = 0;
            for (GpuDevice device : devices.list()) {
                findings.add(Finding.ok("device " + ordinal++, String.format(Locale.ROOT,
                    "%s, %s, %d multiprocessors, %.1f GiB, %d KiB shared a block, %.0f MiB L2, %s, driver of CUDA %d.%d", device.name(),
                    device.architecture(), device.multiprocessors(), device.memoryBytes() / 0x1p30, device.sharedBytesPerBlock() >> 10,
                    device.l2Bytes() / 0x1p20, device.uuid(), device.driverVersion() / 1000, device.driverVersion() % 1000 / 10)));
                activity(device);
            }
        } catch (GpuException e) {
            findings.add(new Finding("devices", Finding.State.REFUSED, firstLine(e), "until then: device cpu"));
        }
    }

    private void activity(GpuDevice device) {
        if (libraries.find(CudaLibrary.NVML).isEmpty()) {
            return;
        }
        try (Nvml nvml = Nvml.open(libraries)) {
            NvmlDevice seen = nvml.device(device.uuid());
            GpuStatus status = seen.status();
            String gpm = seen.gpmRefusal();
            List<String> parts = new ArrayList<>(List.of("driver " + nvml.driverVersion()));
            add(parts, "busy %.0f %%", 100 * status.busy());
            add(parts, "%.1f GiB used", status.usedBytes() < 0 ? Double.NaN : status.usedBytes() / 0x1p30);
            add(parts, "%.0f W", status.watts());
            add(parts, "%.0f C", status.celsius());
            add(parts, "SM clock %.0f MHz", status.smMegahertz());
            parts.add(gpm.isEmpty() ? "GPM counters" : gpm);
            parts.addAll(status.missing());
            findings.add(Finding.ok("  its state", String.join(", ", parts)));
        } catch (GpuException e) {
            findings.add(new Finding("  its state", Finding.State.REFUSED, firstLine(e), "the scheduler runs without live utilisation"));
        }
    }

    private static void add(List<String> parts, String format, double value) {
        if (!Double.isNaN(value)) {
            parts.add(String.format(Locale.ROOT, format, value));
        }
    }

    /** @param fix what to say where it is not there or does not work; refusals of files passed over are said beside one that works */
    private boolean library(String subject, CudaLibrary library, String fix) {
        Optional<NativeLibrary> found = libraries.find(library);
        String refused = String.join("; ", libraries.refusals(library));
        if (found.isPresent()) {
            findings.add(Finding.ok(subject, found.get().file() + (refused.isEmpty() ? "" : " (refused before it: " + refused + ")")));
        } else {
            findings.add(new Finding(subject, refused.isEmpty() ? Finding.State.ABSENT : Finding.State.REFUSED, refused.isEmpty()
                ? library.soname() + " was not found" : refused, fix));
        }
        return found.isPresent();
    }

    /** One of the two is enough. */
    private void either(String subject, CudaLibrary twelve, CudaLibrary thirteen) {
        String enough = "not needed beside the other version";
        library(subject + " 12", twelve, libraries.find(thirteen).isPresent() ? enough : twelve.remedy());
        library(subject + " 13", thirteen, libraries.find(twelve).isPresent() ? enough : thirteen.remedy());
    }

    private void places() {
        List<Path> folders = libraries.places().folders();
        findings.add(Finding.ok("library folders", folders.isEmpty() ? "the loader's own alone" : "the loader's own, "
            + folders.stream().map(Path::toString).collect(Collectors.joining(", "))));
    }

    private void nvrtc() {
        either("nvrtc", CudaLibrary.NVRTC_12, CudaLibrary.NVRTC_13);
        try {
            List<KernelCompiler> compilers = KernelCompilers.available(libraries);
            for (KernelCompiler compiler : compilers) {
                findings.add(Finding.ok("kernel compiler", compiler.version() + " (" + compiler.origin() + "), sm_"
                    + compiler.capabilities().first()
                    + " to sm_" + compiler.capabilities().last()));
            }
        } catch (GpuException e) {
            findings.add(new Finding("kernel compiler", Finding.State.REFUSED, firstLine(e), CudaLibrary.NVRTC_12.remedy()));
        }
    }

    private void cublas() {
        either("cublas", CudaLibrary.CUBLAS_12, CudaLibrary.CUBLAS_13);
    }

    private void cache(String subject, String name) {
        Path folder = PrivateFolder.ofUser(name);
        try {
            PrivateFolder.create(folder);
            findings.add(Finding.ok(subject, folder.toString()));
        } catch (IOException e) {
            findings.add(new Finding(subject, Finding.State.REFUSED, e.getMessage(), "make " + folder + " writable for this user"));
        }
    }

    private static String firstLine(Throwable e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse(e.toString());
    }
}
