package org.respec.engine.run;

import java.nio.file.Path;

/**
 * Where problems and rewards come from.
 *
 * @param prompts JSON lines of {@code prompt} and {@code answer} to train on, or null for the arithmetic generator
 * @param heldOut the same to evaluate on; null with the generator
 * @param reward name of a {@link org.respec.engine.task.RewardFunction}
 * @param arithmetic the generator's settings
 */
public record TaskConfig(Path prompts, Path heldOut, String reward, Arithmetic arithmetic) {
    /** Sizes of arithmetic problems; see {@link org.respec.engine.task.ArithmeticProblems}. */
    public record Arithmetic(int minOperands, int maxOperands, double tail, int maxOperand, int maxValue) {
        static Arithmetic read(ConfigSection s) {
            Arithmetic arithmetic = new Arithmetic(s.integer("min_operands", 2, 2, 32), s.integer("max_operands", 8, 2, 32),
                s.number("tail", 0.75, 0.01, 1), s.integer("max_operand", 99, 1, 999_999), s.integer("max_value", 999, 1, 999_999));
            if (arithmetic.minOperands > arithmetic.maxOperands) {
                throw s.bad("min_operands", "is " + arithmetic.minOperands + ", more than max_operands " + arithmetic.maxOperands);
            }
            if (arithmetic.maxOperand > arithmetic.maxValue) {
                throw s.bad("max_operand", "is " + arithmetic.maxOperand + ", more than max_value " + arithmetic.maxValue);
            }
            s.finish();
            return arithmetic;
        }
    }

    static TaskConfig read(ConfigSection s, Path base) {
        Path prompts = s.normalPath("prompts", base);
        Path heldOut = s.normalPath("held_out", base);
        if ((prompts == null) != (heldOut == null)) {
            throw s.bad(prompts == null ? "prompts" : "held_out", "is missing; prompts and held_out come together");
        }
        String reward = s.text("reward", "arithmetic");
        Arithmetic arithmetic = Arithmetic.read(s.section("arithmetic"));
        s.finish();
        return new TaskConfig(prompts, heldOut, reward, arithmetic);
    }
}
