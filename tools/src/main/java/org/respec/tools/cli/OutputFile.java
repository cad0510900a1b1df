package org.respec.tools.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/** Files that a command writes when its work is done: that they cannot be written is to be known before. */
final class OutputFile {
    private OutputFile() {
    }

    /**
     * Refuses a file that could not be written.
     *
     * @param option that names it
     * @param file null for none
     */
    static void require(String option, Path file) {
        if (file == null) {
            return;
        }
        Path folder = file.toAbsolutePath().getParent();
        if (SafeFiles.isFolder(file)) {
            throw new BadInput(option + ": " + file + " is a folder; name a file.");
        }
        if (!SafeFiles.isFolder(folder)) {
            throw new BadInput(option + ": the folder of " + file + " does not exist; make it.");
        }
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            // A pipe or a device is written to as it is.
            return;
        }
        try {
            SafeFiles.tryFolder(folder);
        } catch (IOException e) {
            throw new BadInput(option + ": " + file + " cannot be written (" + Reason.of(e) + "); check space and permissions.", e);
        }
    }
}
