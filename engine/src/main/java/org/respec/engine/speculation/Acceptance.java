package org.respec.engine.speculation;

/** How often the actor's token is the drafter's first, second, ... choice, by depth. */
public interface Acceptance {
    /** Chance that, at a reached node of depth {@code depth - 1}, the actor's token is the drafter's choice {@code rank}, from 0. */
    double chance(int depth, int rank);
}
