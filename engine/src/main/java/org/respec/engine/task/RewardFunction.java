package org.respec.engine.task;

import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import org.respec.engine.BadInput;

/** A verifiable reward. Implementations are found by {@link ServiceLoader}. */
public interface RewardFunction {
    /** Name under which a config asks for it. */
    String name();

    /** The reward of a response's text, without its end-of-sequence token. */
    double reward(Problem problem, String response);

    /** The reward function of that name. */
    static RewardFunction named(String name) {
        List<String> names = new ArrayList<>();
        for (RewardFunction function : ServiceLoader.load(RewardFunction.class)) {
            if (function.name().equals(name)) {
                return function;
            }
            names.add(function.name());
        }
        throw new BadInput("task.reward: there is no reward function '" + name + "'; found were " + String.join(", ", names) + ".");
    }
}
