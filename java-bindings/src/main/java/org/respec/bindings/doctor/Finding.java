package org.respec.bindings.doctor;

/**
 * One thing that was looked for.
 *
 * @param subject what
 * @param state whether it is there
 * @param found what was found where
 * @param fix how to mend it, or what follows; empty if there is nothing to do
 */
public record Finding(String subject, State state, String found, String fix) {
    /** Whether something is there. */
    public enum State {
        /** There and working. */
        OK,
        /** Not there. */
        ABSENT,
        /** There, but it does not work. */
        REFUSED
    }

    static Finding ok(String subject, String found) {
        return new Finding(subject, State.OK, found, "");
    }
}
