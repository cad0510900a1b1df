package org.respec.engine.task;

import java.util.ArrayList;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.respec.engine.BadInput;

/**
 * A verifiable reward. Implementations are found by {@link ServiceLoader}: a jar names them in
 * {@code META-INF/services/org.respec.engine.task.RewardFunction} and lies on the class path, to which the command line's launcher adds
 * what is in {@code tools/plugins}.
 */
public interface RewardFunction {
    /** Name under which a config asks for it. */
    String name();

    /** The reward of a response's text, without its end-of-sequence token; a finite number. */
    double reward(Problem problem, String response);

    /**
     * The reward function of that name.
     *
     * @throws BadInput if none has it, or one that a jar names cannot be made
     */
    static RewardFunction named(String name) {
        List<String> names = new ArrayList<>();
        try {
            for (RewardFunction function : ServiceLoader.load(RewardFunction.class)) {
                if (function.name().equals(name)) {
                    return function;
                }
                names.add(function.name());
            }
        } catch (ServiceConfigurationError e) {
            throw new BadInput("task.reward: a jar of reward functions is broken (" + e.getMessage() + "); mend or remove it.", e);
        }
        throw new BadInput("task.reward: there is no reward function '" + name + "'; found were " + String.join(", ", names)
            + "; the jar of another goes into tools/plugins.");
    }
}
