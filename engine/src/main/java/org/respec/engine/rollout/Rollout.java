package org.respec.engine.rollout;

import java.util.List;

/** Trajectories in request order, and what drawing them took. */
public record Rollout(List<Trajectory> trajectories, RolloutStats stats) {
}
