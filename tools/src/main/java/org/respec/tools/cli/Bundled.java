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

    /** The example configuration that trains the bundled model. */
    static Path quickstart() {
        return home("--config: the bundled example is known to tools/respec only; name a configuration.").resolve("examples/quickstart.yaml");
    }

    private static Path models() {
        return home("--model: the bundled model is known to tools/respec only; name a model folder.").resolve("models/arithmetic");
    }

    private static Path home(String otherwise) {
        String home = System.getProperty("respec.home");
        if (home == null) {
            throw new BadInput(otherwise);
        }
        return Path.of(home, "tools");
    }
}
