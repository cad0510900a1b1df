package org.respec.bindings.gpu.emulator;

import java.nio.file.Path;
import org.respec.bindings.nativelib.PrivateFolder;

/**
 * What an emulated device is like.
 *
 * @param checked whether every access of a kernel is checked for bounds and races; several times slower than without. Unchecked, only
 *        accesses far outside of a buffer are caught
 * @param multiprocessors what the device says it has; 1 or more. Blocks run one after another whatever it is
 * @param memoryBytes device memory, at least 1 MiB; the host gives it page by page as it is touched
 * @param launchSeconds how long a kernel may run before it is ended with an error, 1 or more
 * @param cache private folder for compiled kernels, made if it is missing
 */
public record EmulatorOptions(boolean checked, int multiprocessors, long memoryBytes, int launchSeconds, Path cache) {
    public EmulatorOptions {
        if (launchSeconds < 1) {
            throw new IllegalArgumentException("kernels that may run for " + launchSeconds + " seconds: 1 or more are possible");
        }
        if (multiprocessors < 1 || memoryBytes < 1 << 20 || memoryBytes > 1L << 40) {
            throw new IllegalArgumentException("an emulated device with " + multiprocessors + " multiprocessors and " + memoryBytes
                + " bytes: 1 or more and from 1 MiB to 1 TiB are possible");
        }
    }

    /** Checked, 4 multiprocessors so that work is split, 4 GiB, 300 seconds, and the user's own cache. */
    public static EmulatorOptions defaults() {
        return new EmulatorOptions(true, 4, 4L << 30, 300, PrivateFolder.ofUser("emulator"));
    }

    /** These options, but for {@link #checked}. */
    public EmulatorOptions withChecked(boolean value) {
        return new EmulatorOptions(value, multiprocessors, memoryBytes, launchSeconds, cache);
    }

    /** These options, but for {@link #memoryBytes}. */
    public EmulatorOptions withMemoryBytes(long value) {
        return new EmulatorOptions(checked, multiprocessors, value, launchSeconds, cache);
    }

    /** These options, but for {@link #launchSeconds}. */
    public EmulatorOptions withLaunchSeconds(int value) {
        return new EmulatorOptions(checked, multiprocessors, memoryBytes, value, cache);
    }

    /** These options, but for {@link #cache}. */
    public EmulatorOptions withCache(Path value) {
        return new EmulatorOptions(checked, multiprocessors, memoryBytes, launchSeconds, value);
    }
}
