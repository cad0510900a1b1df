package org.respec.tools.experiment;

/** A question about the engine, answered with figures that anyone can draw again. */
public interface Experiment {
    /** Name on the command line and of its files. */
    String name();

    /** What it asks, in one sentence. */
    String question();

    /** Runs it. Settings that are compared see the same prompts and the same noise, and take turns. */
    Outcome run(Lab lab);
}
