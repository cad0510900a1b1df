package org.respec.tools.check;

/** A part of {@code gpu-check} that is chosen, timed and judged on its own. */
interface CheckStage {
    /** What {@code --only} calls it. */
    String name();

    /** Longest it may take on a GPU. */
    int seconds();

    /** Does its work, hands out what it finds, and throws what keeps it from going on. */
    void run(StageRun run);
}
