package org.respec.engine.run;

import org.respec.engine.task.Problem;
import org.respec.engine.task.RewardFunction;

/** Share of digits among the characters: a reward that an untrained model earns some of, found by ServiceLoader like any other. */
public final class DigitShareReward implements RewardFunction {
    @Override
    public String name() {
        return "digit-share";
    }

    @Override
    public double reward(Problem problem, String response) {
        return response.isEmpty() ? 0 : (double) response.chars().filter(Character::isDigit).count() / response.length();
    }
}
