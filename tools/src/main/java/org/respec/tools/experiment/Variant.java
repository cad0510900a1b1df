package org.respec.tools.experiment;

import java.util.List;

/** One of the settings that are compared: a name, which is also that of its run folders, and what it changes. */
record Variant(String name, List<String> overrides) {
    static Variant of(String name, String... overrides) {
        return new Variant(name, List.of(overrides));
    }
}
