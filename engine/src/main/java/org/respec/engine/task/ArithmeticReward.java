package org.respec.engine.task;

/** 1 if what follows the response's last {@code ####} is the answer, else 0. The working is not looked at. */
public final class ArithmeticReward implements RewardFunction {
    @Override
    public String name() {
        return "arithmetic";
    }

    @Override
    public double reward(Problem problem, String response) {
        int mark = response.lastIndexOf("####");
        return mark >= 0 && response.substring(mark + 4).strip().equals(problem.answer().strip()) ? 1 : 0;
    }
}
