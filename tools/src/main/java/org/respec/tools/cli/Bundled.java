package org.respec.tools.cli;

import java.nio.file.Path;
import org.respec.engine.BadInput;

/** Where the bundled model lies. The launcher says where it is at home. */
final class Bundled {
    private Bundled() {
    }

    static Path actor() {
        return models().resolve("actor");
    }

    static Path drafter() {
        return models().resolve("drafter");
    }

    private static Path models() {
        String home = System.getProperty("respec.home");
        if (home == null) {
            throw new BadInput("--model: the bundled model is known to tools/respec only; name a model folder.");
        }
        return Path.of(home, "tools", "models", "arithmetic");
    }
}
