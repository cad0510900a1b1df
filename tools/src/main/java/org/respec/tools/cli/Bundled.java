package org.respec.tools.cli;

import java.nio.file.Path;
import org.respec.engine.BadInput;

/** Where the bundled model and the examples lie. The launcher says where they are at home. */
final class Bundled {
    private Bundled() {
    }

    static Path actor() {
        return models().resolve("actor");
    }

    static Path drafter() {
        return models().resolve("drafter");
    }

    /** An example's config. */
    static Path example(String name) {
        return home().resolve("tools").resolve("examples").resolve(name);
    }

    private static Path models() {
        return home().resolve("tools").resolve("models").resolve("arithmetic");
    }

    private static Path home() {
        String home = System.getProperty("respec.home");
        if (home == null) {
            throw new BadInput("--model: the bundled model and the examples are known to tools/respec only; run that.");
        }
        return Path.of(home);
    }
}
