package org.respec.bindings.nativelib;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Where NVIDIA's libraries are looked for, in this order: the loader's own folders, {@link #folders}, the class path.
 *
 * @param loader whether the loader's own folders are asked, by bare name
 * @param folders folders that exist, nearest first
 * @param classPath whether jars are asked
 */
public record LibraryPlaces(boolean loader, List<Path> folders, boolean classPath) {
    public LibraryPlaces {
        folders = List.copyOf(folders);
    }

    /** This machine's places. */
    public static LibraryPlaces ofThisMachine() {
        return new LibraryPlaces(true, search(Path.of("/"), Path.of(System.getProperty("user.home")), executables()), true);
    }

    /** Folders in which commands are searched: absolute entries of PATH. */
    public static List<Path> executables() {
        String path = System.getenv("PATH");
        return path == null ? List.of() : Arrays.stream(path.split(":")).filter(entry -> entry.startsWith("/")).map(Path::of).toList();
    }

    /** Only what jars of the class path hold. */
    public static LibraryPlaces classPathOnly() {
        return new LibraryPlaces(false, List.of(), true);
    }

    /**
     * Folders that may hold libraries: CUDA toolkits (newest first), where containers mount the driver, the system's, WSL's, and the
     * {@code nvidia} wheels of every Python environment that is in sight.
     *
     * @param root root of the file system, for tests
     * @param executables folders in which commands are searched
     */
    static List<Path> search(Path root, Path home, List<Path> executables) {
        Set<Path> folders = new LinkedHashSet<>();
        List<Path> toolkits = new ArrayList<>();
        toolkits.add(root.resolve("usr/local/cuda"));
        List<Path> versions = list(root.resolve("usr/local"), "cuda-*");
        versions.sort(Comparator.comparing(LibraryPlaces::version).reversed());
        toolkits.addAll(versions);
        toolkits.add(root.resolve("opt/cuda"));
        for (Path toolkit : toolkits) {
            add(folders, toolkit.resolve("lib64"));
            add(folders, toolkit.resolve("targets/x86_64-linux/lib"));
        }
        for (String name : List.of("usr/local/nvidia/lib64", "usr/local/nvidia/lib", "usr/lib/x86_64-linux-gnu", "usr/lib64",
            "usr/lib/wsl/lib")) {
            add(folders, root.resolve(name));
        }
        for (Path prefix : pythons(root, home, executables)) {
            for (String lib : List.of("lib", "lib64")) {
                for (Path python : list(prefix.resolve(lib), "python3*")) {
                    for (String packages : List.of("site-packages", "dist-packages")) {
                        for (Path wheel : list(python.resolve(packages).resolve("nvidia"), "*")) {
                            add(folders, wheel.resolve("lib"));
                        }
                    }
                }
            }
            if (Files.isDirectory(prefix.resolve("conda-meta"))) {
                add(folders, prefix.resolve("lib"));
                add(folders, prefix.resolve("targets/x86_64-linux/lib"));
            }
        }
        return List.copyOf(folders);
    }

    /** Prefixes of Python environments: of each python that would run, then the usual places, each with the environments kept in it. */
    private static Set<Path> pythons(Path root, Path home, List<Path> executables) {
        Set<Path> prefixes = new LinkedHashSet<>();
        for (Path folder : executables) {
            for (String name : List.of("python3", "python")) {
                Path python = folder.resolve(name);
                if (Files.exists(python) && folder.getParent() != null) {
                    prefixes.add(folder.getParent());
                    try {
                        prefixes.add(python.toRealPath().getParent().getParent());
                    } catch (IOException e) {
                        continue; // A link into nowhere: there is nothing to find behind it.
                    }
                }
            }
        }
        prefixes.add(root.resolve("usr/local"));
        prefixes.add(root.resolve("usr"));
        List<Path> places = new ArrayList<>();
        places.add(root);
        places.addAll(list(root.resolve("opt"), "*"));
        places.addAll(List.of(root.resolve("srv"), root.resolve("app"), root.resolve("workspace"), root.resolve("root"), home));
        places.addAll(list(home, "*"));
        for (Path place : places) {
            if (!place.equals(root)) {
                prefixes.add(place);
            }
            for (String name : List.of(".venv", "venv", "env")) {
                prefixes.add(place.resolve(name));
            }
            prefixes.addAll(list(place.resolve("envs"), "*"));
        }
        prefixes.add(home.resolve(".local"));
        prefixes.addAll(list(home.resolve(".virtualenvs"), "*"));
        prefixes.addAll(list(home.resolve(".conda/envs"), "*"));
        prefixes.addAll(list(home.resolve(".pyenv/versions"), "*"));
        return prefixes;
    }

    private static void add(Set<Path> folders, Path folder) {
        if (Files.isDirectory(folder)) {
            folders.add(folder);
        }
    }

    /** Files of a folder that match, in the order of their names; none if it is not there or not ours to read. */
    static List<Path> list(Path folder, String glob) {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, glob)) {
                files.forEach(found::add);
            } catch (IOException e) {
                return found;
            }
        }
        found.sort(Comparator.naturalOrder());
        return found;
    }

    /** {@code cuda-12.10} after {@code cuda-12.9}. */
    private static Version version(Path toolkit) {
        String[] parts = toolkit.getFileName().toString().replaceFirst("^cuda-", "").split("\\.");
        return new Version(number(parts, 0), number(parts, 1));
    }

    private static int number(String[] parts, int at) {
        return at < parts.length && parts[at].matches("\\d{1,6}") ? Integer.parseInt(parts[at]) : -1;
    }

    private record Version(int major, int minor) implements Comparable<Version> {
        @Override
        public int compareTo(Version other) {
            return major != other.major ? Integer.compare(major, other.major) : Integer.compare(minor, other.minor);
        }
    }
}
