package org.respec.engine.rl;

import java.util.ArrayList;
import java.util.List;
import org.respec.engine.rollout.PromptGroup;
import org.respec.engine.rollout.RolloutEngine;
import org.respec.engine.rollout.Trajectory;
import org.respec.engine.task.Problem;
import org.respec.engine.task.Task;

/** Share of held-out problems solved, one sampled response each, with the same noise every time so that two evaluations are paired. */
public final class Evaluator {
    /** Request numbers of evaluations lie above those of any training rollout. */
    private static final long FIRST_REQUEST = 1L << 40;

    private final RolloutEngine engine;
    private final Task task;
    private final List<Problem> problems;

    /** An evaluator of the first {@code count} held-out problems, or of all where there are fewer. */
    public Evaluator(RolloutEngine engine, Task task, int count) {
        this.engine = engine;
        this.task = task;
        List<Problem> chosen = new ArrayList<>();
        for (int i = 0; i < Math.min(count, task.problems().heldOutCount()); i++) {
            chosen.add(task.problems().heldOut(i));
        }
        this.problems = List.copyOf(chosen);
    }

    /** Problems evaluated. */
    public int size() {
        return problems.size();
    }

    /** Mean reward over the problems. */
    public double accuracy() {
        if (problems.isEmpty()) {
            return 0;
        }
        List<PromptGroup> groups = new ArrayList<>();
        for (int i = 0; i < problems.size(); i++) {
            groups.add(new PromptGroup(task.encode(problems.get(i)), 1, FIRST_REQUEST + i));
        }
        List<Trajectory> trajectories = engine.generate(groups).trajectories();
        double sum = 0;
        for (int i = 0; i < problems.size(); i++) {
            sum += task.reward(problems.get(i), trajectories.get(i));
        }
        return sum / problems.size();
    }
}
