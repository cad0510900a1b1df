package org.respec.bindings.nativelib;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.respec.bindings.gpu.GpuException;

/**
 * Finds and loads NVIDIA's libraries with what they need: cuBLAS needs {@code libcublasLt} of the same version, NVRTC needs
 * {@code libnvrtc-builtins}, which it asks the loader for by name when it first compiles. Loading these first is what makes a library
 * in any folder work, without {@code LD_LIBRARY_PATH}: the loader takes a library that is loaded already for every later wish of the
 * same name, also for the wishes of JCuda's natives.
 *
 * <p>Each library is looked for once. Every file that was there but would not do is kept as a sentence.
 */
public final class CudaLibraries {
    private static final String JAR_FOLDER = "org/bytedeco/cuda/linux-x86_64";

    private final LibraryPlaces places;
    private final DynamicLoader loader = new DynamicLoader();
    private final Map<CudaLibrary, Optional<NativeLibrary>> found = new EnumMap<>(CudaLibrary.class);
    private final Map<CudaLibrary, List<String>> refusals = new EnumMap<>(CudaLibrary.class);

    /** @param places where to look */
    public CudaLibraries(LibraryPlaces places) {
        this.places = places;
    }

    /** One that looks wherever this machine may have libraries. */
    public static CudaLibraries ofThisMachine() {
        return new CudaLibraries(LibraryPlaces.ofThisMachine());
    }

    /** Where libraries are looked for. */
    public LibraryPlaces places() {
        return places;
    }

    /** The library, loaded; empty if this machine has none that works. */
    public synchronized Optional<NativeLibrary> find(CudaLibrary library) {
        Optional<NativeLibrary> known = found.get(library);
        if (known == null) {
            known = search(library);
            found.put(library, known);
        }
        return known;
    }

    /**
     * The library, loaded.
     *
     * @throws GpuException if this machine has none that works
     */
    public NativeLibrary require(CudaLibrary library) {
        return find(library).orElseThrow(() -> new GpuException(missing(library)));
    }

    /** Files that were found but would not do: one sentence each, with the loader's reason. */
    public synchronized List<String> refusals(CudaLibrary library) {
        return List.copyOf(refusals.getOrDefault(library, List.of()));
    }

    /** Why there is no such library, and how to mend it, in one sentence. */
    public synchronized String missing(CudaLibrary library) {
        List<String> reasons = refusals.getOrDefault(library, List.of());
        String why = reasons.isEmpty() ? library.soname() + " was not found" : library.soname() + " cannot be used (" + String.join("; ",
            reasons) + ")";
        return why + ": " + library.remedy();
    }

    private Optional<NativeLibrary> search(CudaLibrary library) {
        if (places.loader()) {
            Optional<NativeLibrary> loaded = tryOpen(library, library.soname(), true);
            if (loaded.isPresent()) {
                return loaded;
            }
        }
        for (Path folder : places.folders()) {
            Path file = folder.resolve(library.soname());
            if (Files.exists(file)) {
                Optional<NativeLibrary> loaded = tryOpen(library, file.toString(), false);
                if (loaded.isPresent()) {
                    return loaded;
                }
            }
        }
        return places.classPath() ? fromClassPath(library) : Optional.empty();
    }

    private Optional<NativeLibrary> tryOpen(CudaLibrary library, String where, boolean bare) {
        try {
            if (!bare) {
                openCompanions(library, Path.of(where).getParent());
            }
            DynamicLoader.Opened opened = loader.open(library.soname(), where);
            try {
                if (bare) {
                    Path parent = Path.of(opened.library().file()).getParent();
                    if (parent != null) {
                        openCompanions(library, parent);
                    }
                }
                check(library, opened.library());
                return Optional.of(opened.library());
            } catch (DynamicLoader.Refused e) {
                // Left open, JCuda's natives would be bound to it by its name.
                loader.close(opened);
                throw e;
            }
        } catch (DynamicLoader.Refused e) {
            String reason = e.getMessage();
            if (!(bare && reason.startsWith(library.soname() + ": cannot open shared object file"))) {
                refusals.computeIfAbsent(library, key -> new ArrayList<>()).add(reason.contains(where) ? reason : where + ": " + reason);
            }
            return Optional.empty();
        }
    }

    /**
     * Loads what a library needs from its own folder, where it is there; elsewhere the loader finds it, or says that it does not. Files
     * beside NVRTC that only look like its builtins are passed over: {@link #check} asks for the right ones.
     */
    private void openCompanions(CudaLibrary library, Path folder) throws DynamicLoader.Refused {
        switch (library) {
            case CUBLAS_12, CUBLAS_13 -> {
                String companion = library.soname().replace("libcublas", "libcublasLt");
                if (Files.exists(folder.resolve(companion))) {
                    loader.open(companion, folder.resolve(companion).toString());
                }
            }
            case NVRTC_12, NVRTC_13 -> {
                for (Path file : LibraryPlaces.list(folder, library.soname().replace("libnvrtc", "libnvrtc-builtins") + ".*")) {
                    try {
                        loader.open(file.getFileName().toString(), file.toString());
                    } catch (DynamicLoader.Refused e) {
                        continue;
                    }
                }
            }
            case DRIVER, NVML -> {
            }
        }
    }

    private void check(CudaLibrary library, NativeLibrary loaded) throws DynamicLoader.Refused {
        if (library == CudaLibrary.NVRTC_12 || library == CudaLibrary.NVRTC_13) {
            String builtins = "libnvrtc-builtins.so." + nvrtcVersion(loaded);
            try {
                loader.open(builtins, builtins);
            } catch (DynamicLoader.Refused e) {
                throw new DynamicLoader.Refused(loaded.file() + " needs " + builtins
                    + ", which is not beside it nor where the loader looks");
            }
        }
    }

    private static String nvrtcVersion(NativeLibrary nvrtc) throws DynamicLoader.Refused {
        if (!nvrtc.has("nvrtcVersion")) {
            throw new DynamicLoader.Refused(nvrtc.file() + " has no function nvrtcVersion: it is no NVRTC");
        }
        MethodHandle version = nvrtc.function("nvrtcVersion", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS,
            ValueLayout.ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment major = arena.allocate(ValueLayout.JAVA_INT);
            MemorySegment minor = arena.allocate(ValueLayout.JAVA_INT);
            int rc = (int) version.invokeExact(major, minor);
            if (rc != 0) {
                throw new DynamicLoader.Refused(nvrtc.file() + " does not say its version (error " + rc + ")");
            }
            return major.get(ValueLayout.JAVA_INT, 0) + "." + minor.get(ValueLayout.JAVA_INT, 0);
        } catch (DynamicLoader.Refused e) {
            throw e;
        } catch (Throwable t) {
            throw new IllegalStateException("nvrtcVersion failed", t);
        }
    }

    private Optional<NativeLibrary> fromClassPath(CudaLibrary library) {
        if (library == CudaLibrary.DRIVER || library == CudaLibrary.NVML || !NativeLibraries.present(JAR_FOLDER, library.soname())) {
            return Optional.empty();
        }
        try {
            for (String companion : jarCompanions(library)) {
                Path file = NativeLibraries.extract(JAR_FOLDER, companion);
                loader.open(companion, file.toString());
            }
            return tryOpen(library, NativeLibraries.extract(JAR_FOLDER, library.soname()).toString(), false);
        } catch (IllegalStateException | DynamicLoader.Refused e) {
            refusals.computeIfAbsent(library, key -> new ArrayList<>()).add(e.getMessage());
            return Optional.empty();
        }
    }

    /** Entries of a jar cannot be listed through a class loader, so the minor versions there may be are asked for one by one. */
    private static List<String> jarCompanions(CudaLibrary library) {
        List<String> names = new ArrayList<>();
        switch (library) {
            case CUBLAS_12, CUBLAS_13 -> names.add(library.soname().replace("libcublas", "libcublasLt"));
            case NVRTC_12, NVRTC_13 -> {
                for (int minor = 0; minor < 16; minor++) {
                    names.add(library.soname().replace("libnvrtc", "libnvrtc-builtins") + "." + minor);
                }
            }
            case DRIVER, NVML -> {
            }
        }
        names.removeIf(name -> !NativeLibraries.present(JAR_FOLDER, name));
        return names;
    }
}
