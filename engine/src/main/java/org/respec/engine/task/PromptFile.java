package org.respec.engine.task;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToIntFunction;
import java.util.stream.Stream;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/** Problems from JSON lines with {@code prompt} and {@code answer}; training goes through them again and again. */
public final class PromptFile implements ProblemSource {
    private static final JsonMapper JSON = JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

    private final List<Problem> training;
    private final List<Problem> heldOut;

    /** Reads both files whole; an empty one is refused. */
    public PromptFile(Path training, Path heldOut) {
        this.training = read(training);
        this.heldOut = read(heldOut);
    }

    private static List<Problem> read(Path file) {
        if (!SafeFiles.isFile(file)) {
            throw new BadInput(file + ": there is no such file; name JSON lines with prompt and answer.");
        }
        List<Problem> problems = new ArrayList<>();
        int line = 0;
        try {
            for (String text : Files.readAllLines(file, StandardCharsets.UTF_8)) {
                line++;
                if (text.isBlank()) {
                    continue;
                }
                JsonNode node = JSON.readTree(text);
                for (String field : List.of("prompt", "answer")) {
                    if (!node.path(field).isTextual() || node.path(field).textValue().isEmpty()) {
                        throw new BadInput(file + ": line " + line + " needs the text field " + field + "; add it.");
                    }
                }
                problems.add(new Problem(node.get("prompt").textValue(), node.get("answer").textValue()));
            }
        } catch (JsonProcessingException e) {
            throw new BadInput(file + ": line " + line + " cannot be read as JSON (" + e.getOriginalMessage() + "); mend it.", e);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + Reason.of(e) + "); mend it or name another.", e);
        }
        if (problems.isEmpty()) {
            throw new BadInput(file + ": the prompt set is empty; give at least one line with prompt and answer.");
        }
        return List.copyOf(problems);
    }

    @Override
    public Problem training(long number) {
        return training.get((int) (number % training.size()));
    }

    @Override
    public Problem heldOut(int number) {
        return heldOut.get(number);
    }

    @Override
    public int heldOutCount() {
        return heldOut.size();
    }

    @Override
    public int mostTokens(ToIntFunction<String> tokens) {
        return Stream.of(training, heldOut).flatMap(List::stream).map(Problem::prompt).mapToInt(tokens).max().orElseThrow();
    }
}
