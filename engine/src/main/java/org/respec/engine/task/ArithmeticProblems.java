package org.respec.engine.task;

import java.util.function.ToIntFunction;
import org.respec.kernels.NoiseField;

/**
 * Sums and differences worked from left to right, as {@code 47+8-19=} with the working {@code 47+8=55;55-19=36#### 36}. Problem n of
 * a split is a function of seed, split and n. Lengths have a long tail: k + 1 operands are {@code tail} times as likely as k.
 */
public final class ArithmeticProblems implements ProblemSource {
    /** Every character that prompts and working use. */
    public static final String CHARACTERS = "0123456789+-=;# ";

    private static final int TRAINING = 1;
    private static final int HELD_OUT = 2;
    private static final int DEMONSTRATION = 3;

    private final long seed;
    private final int minOperands;
    private final int maxOperands;
    private final double tail;
    private final int maxOperand;
    private final int maxValue;

    /**
     * @param tail how often a problem has one operand more, over how often it has not; 1 for all numbers alike
     * @param maxOperand largest operand
     * @param maxValue largest value that a problem passes through or ends at; the smallest is 0
     */
    public ArithmeticProblems(long seed, int minOperands, int maxOperands, double tail, int maxOperand, int maxValue) {
        this.seed = seed;
        this.minOperands = minOperands;
        this.maxOperands = maxOperands;
        this.tail = tail;
        this.maxOperand = maxOperand;
        this.maxValue = maxValue;
    }

    /** Operands with signs; the first is the start. Every running value lies in 0 to {@code maxValue}. */
    private int[] operands(Draws draws) {
        double total = 0;
        for (int k = minOperands; k <= maxOperands; k++) {
            total += Math.pow(tail, k - minOperands);
        }
        double at = draws.unit() * total;
        int count = minOperands;
        for (double weight = 1; count < maxOperands && at >= weight; weight *= tail) {
            at -= weight;
            count++;
        }
        int[] operands = new int[count];
        int value = 0;
        for (int i = 0; i < count; i++) {
            int size = 1 + draws.below(maxOperand);
            boolean minus = i > 0 && draws.below(2) == 1;
            if (minus && size > value || !minus && value + size > maxValue) {
                minus = !minus;
            }
            if (minus && size > value) {
                size = value;
            }
            operands[i] = minus ? -size : size;
            value += operands[i];
        }
        return operands;
    }

    @Override
    public Problem training(long number) {
        return problem(TRAINING, number);
    }

    @Override
    public Problem heldOut(int number) {
        return problem(HELD_OUT, number);
    }

    /** A checksum of its operands says which split a problem belongs to, so that none is in both. */
    private Problem problem(int split, long number) {
        for (long attempt = 0; ; attempt++) {
            int[] operands = operands(new Draws(seed, split, number, attempt));
            if (belongsToHeldOut(operands) == (split == HELD_OUT)) {
                int value = 0;
                for (int operand : operands) {
                    value += operand;
                }
                return new Problem(prompt(operands), Integer.toString(value));
            }
        }
    }

    /** True for one problem in eight. */
    private static boolean belongsToHeldOut(int[] operands) {
        long hash = 0;
        for (int operand : operands) {
            hash = NoiseField.bits(hash, operand, 7);
        }
        return (hash & 7) == 0;
    }

    private static String prompt(int[] operands) {
        StringBuilder text = new StringBuilder().append(operands[0]);
        for (int i = 1; i < operands.length; i++) {
            text.append(operands[i] < 0 ? '-' : '+').append(Math.abs(operands[i]));
        }
        return text.append('=').toString();
    }

    /** A worked example for supervised learning. */
    public record Demonstration(String prompt, String response) {
    }

    /**
     * Demonstration {@code number}: a training problem with its working, in which each step is wrong with chance {@code mistakes},
     * by a digit, and what follows goes on from the wrong value.
     */
    public Demonstration demonstration(long number, double mistakes) {
        for (long attempt = 0; ; attempt++) {
            Draws draws = new Draws(seed, DEMONSTRATION, number, attempt);
            int[] operands = operands(draws);
            if (!belongsToHeldOut(operands)) {
                return new Demonstration(prompt(operands), working(operands, draws, mistakes));
            }
        }
    }

    private static String working(int[] operands, Draws draws, double mistakes) {
        StringBuilder text = new StringBuilder();
        int value = operands[0];
        for (int i = 1; i < operands.length; i++) {
            int next = value + operands[i];
            if (draws.unit() < mistakes) {
                int place = draws.below(2) == 0 ? 1 : 10;
                next = Math.max(0, next + (draws.below(2) == 0 ? place : -place));
            }
            text.append(i > 1 ? ";" : "").append(value).append(operands[i] < 0 ? '-' : '+').append(Math.abs(operands[i])).append('=')
                .append(next);
            value = next;
        }
        return text.append("#### ").append(value).toString();
    }

    @Override
    public int heldOutCount() {
        return Integer.MAX_VALUE;
    }

    /**
     * A bound: where a tokenizer merges characters, a shorter prompt may have more tokens than the longest, but none has more than one a
     * character, apart from what the tokenizer puts before every text.
     */
    @Override
    public int mostTokens(ToIntFunction<String> tokens) {
        String longest = ("+" + maxOperand).repeat(maxOperands).substring(1) + "=";
        return Math.max(tokens.applyAsInt(longest), longest.length() - 1 + tokens.applyAsInt("="));
    }

    /** Numbers in a row for one problem. */
    private static final class Draws {
        private final long seed;
        private final long number;
        private int next;

        Draws(long seed, int split, long number, long attempt) {
            this.seed = NoiseField.bits(seed, split, attempt);
            this.number = number;
        }

        int below(int bound) {
            return (int) ((NoiseField.bits(seed, number, next++) >>> 33) % bound);
        }

        double unit() {
            return (NoiseField.bits(seed, number, next++) >>> 11) * 0x1p-53;
        }
    }
}
