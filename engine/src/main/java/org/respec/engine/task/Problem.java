package org.respec.engine.task;

/** A prompt and what a right response comes to. */
public record Problem(String prompt, String answer) {
}
