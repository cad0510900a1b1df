package org.respec.tools.check;

import java.nio.file.Path;
import java.util.List;

/** Folders of an actor and its drafter. */
public record ModelFolders(Path actor, Path drafter) {
    /** What makes a training run use them. */
    public List<String> overrides() {
        return List.of("model.actor=" + actor.toAbsolutePath(), "model.drafter=" + drafter.toAbsolutePath());
    }
}
