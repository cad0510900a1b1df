package org.respec.engine.sampling;

/**
 * What happened at one node of a draft tree.
 *
 * @param token the token drawn, from the actor's distribution exactly
 * @param child number of the child that carries it, or -1 if it is a bonus token that no child had
 */
public record Level(int token, int child) {
    /** Whether a child carries the token. */
    public boolean accepted() {
        return child >= 0;
    }
}
