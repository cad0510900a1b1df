package org.respec.tools.cli;

import org.respec.engine.BadInput;

/** Whether this Java runtime can draw plots. */
final class Drawing {
    private Drawing() {
    }

    /** Refuses a Java runtime without java.desktop, as a bundle's, before any work is done for {@code command}. */
    static void require(String command) {
        if (ModuleLayer.boot().findModule("java.desktop").isEmpty()) {
            throw new BadInput(command + ": draws plots with java.desktop, which this Java runtime leaves out; run it with a whole JDK 25,"
                + " from a checkout.");
        }
    }
}
