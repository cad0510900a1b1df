package org.respec.engine.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;
import org.respec.engine.model.TextTokenizer;
import org.respec.engine.rollout.Trajectory;

/** Arithmetic problems in other tokenizers than one of characters, and what their responses earn. */
class ArithmeticTaskTest {
    private static final int VOCAB = 64;

    @TempDir
    Path folder;

    /** Characters, of which two nines merge into one token, as they do in the longest prompt there is. */
    private TextTokenizer merging() throws IOException {
        StringBuilder vocab = new StringBuilder();
        for (int i = 0; i < ArithmeticProblems.CHARACTERS.length(); i++) {
            vocab.append(i == 0 ? "" : ", ").append('"').append(ArithmeticProblems.CHARACTERS.charAt(i)).append("\": ").append(i);
        }
        Path file = Files.writeString(folder.resolve("tokenizer.json"), "{\"version\": \"1.0\", \"added_tokens\": [], \"model\": {\"type\":"
            + " \"BPE\", \"vocab\": {" + vocab + ", \"99\": 16}, \"merges\": [\"9 9\"]}}");
        return TextTokenizer.open(file, VOCAB);
    }

    @Test
    void shorterPromptsMayHaveMoreTokensThanTheLongest() throws IOException {
        ArithmeticProblems problems = new ArithmeticProblems(7, 2, 5, 0.75, 99, 999);
        try (TextTokenizer tokenizer = merging()) {
            Task task = new Task(problems, new ArithmeticReward(), tokenizer, List.of(1));
            int longest = tokenizer.encode("99+99+99+99+99=").length;
            int most = 0;
            for (int i = 0; i < 2000; i++) {
                most = Math.max(most, Math.max(task.encode(problems.training(i)).length, task.encode(problems.heldOut(i)).length));
            }
            assertTrue(most > longest, most + " tokens, and " + longest + " in the longest text");
            assertTrue(task.maxPromptTokens() >= most, task.maxPromptTokens() + " tokens at most, and " + most + " in one");
            assertEquals("99+99+99+99+99=".length(), task.maxPromptTokens());
        }
    }

    @Test
    void aTokenPerCharacterIsCountedExactly() {
        Path file = folder.resolve("tokenizer.json");
        TextTokenizer.writeCharacterTokenizer(file, List.of("<pad>", "<eos>"), ArithmeticProblems.CHARACTERS);
        try (TextTokenizer tokenizer = TextTokenizer.open(file, 2 + ArithmeticProblems.CHARACTERS.length())) {
            Task task = new Task(new ArithmeticProblems(7, 2, 3, 0.75, 120, 999), new ArithmeticReward(), tokenizer, List.of(1));
            assertEquals("120+120+120=".length(), task.maxPromptTokens());
        }
    }

    @ParameterizedTest
    @CsvSource(quoteCharacter = '`', value = {"`36`, `1+2=3#### 36`, 1", "`36 `, `#### 36`, 1", "` 36\n`, `####36 `, 1",
        "`36`, `#### 37`, 0", "`36`, `36`, 0", "`36`, `#### 36 #### 3`, 0"})
    void whatFollowsTheMarkIsTheAnswer(String answer, String response, double reward) {
        assertEquals(reward, new ArithmeticReward().reward(new Problem("35+1=", answer), response));
    }

    /** What a reward of somebody else's makes of the problem. */
    private record Fixed(double value) implements RewardFunction {
        @Override
        public String name() {
            return "fixed";
        }

        @Override
        public double reward(Problem problem, String response) {
            return value;
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
    void rewardsMustBeFinite(double value) throws IOException {
        Problem problem = new Problem("35+1=", "36");
        try (TextTokenizer tokenizer = merging()) {
            Task task = new Task(new ArithmeticProblems(7, 2, 5, 0.75, 99, 999), new Fixed(value), tokenizer, List.of(1));
            BadInput bad = assertThrows(BadInput.class,
                () -> task.reward(problem, new Trajectory(0, 0, 0, new int[] {3}, new int[] {4, 1}, new float[2], true, null)));
            assertEquals("task.reward: " + Fixed.class.getName() + " gave " + value
                + " for a response to '35+1='; rewards must be finite: mend it, or name another reward.", bad.getMessage());
            assertEquals(0, task.reward(problem, new Trajectory(0, 0, 0, new int[] {3}, new int[] {4, 5}, new float[2], false, null)),
                "one that was cut off is not looked at");
        }
    }
}
