package org.respec.tools.check;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A stage in a process of its own, so that an error that sticks to a CUDA context, or a crash, ends that stage alone. What the process has
 * found so far is read while it runs. If it dies in one check of the operators, another process goes on with the checks behind it.
 */
final class StageProcess {
    /** Deaths after which a stage is given up: each costs the start of a process. */
    private static final int MOST_DEATHS = 6;
    private static final JsonMapper MAPPER = new JsonMapper();

    /** Makes the command that runs the stage, writing what it finds to {@code json}, from behind the check {@code after} if given. */
    interface Command {
        List<String> of(Path json, String after);
    }

    private StageProcess() {
    }

    /**
     * Runs a stage.
     *
     * @param folder an empty one, for what the processes write
     * @param seconds longest that all of them together may take
     * @param stage where what they found goes; it has {@code passed} and {@code message} at the end
     * @param look called now and then while they run, with {@code stage} up to date
     */
    static void run(String name, Command command, Path folder, double seconds, ObjectNode stage, PrintStream out, Runnable look)
        throws IOException {
        long start = System.nanoTime();
        List<String> deaths = new ArrayList<>();
        String after = "";
        ObjectNode before = stage.deepCopy();
        while (true) {
            Path file = folder.resolve("stage-" + deaths.size() + ".json");
            ObjectNode base = before;
            double left = seconds - (System.nanoTime() - start) * 1e-9;
            ChildProcess.End end = ChildProcess.run(command.of(file, after), left, out::println, () -> {
                join(base, read(file, name), stage);
                look.run();
            });
            JsonNode found = read(file, name);
            join(base, found, stage);
            boolean whole = found.has("passed") && (end.exit() == 0 || !found.path("passed").booleanValue());
            if (!whole) {
                deaths.add((found.has("running") ? "in " + found.path("running").textValue() + " " : "") + end.describe());
            } else if (found.path("died").booleanValue()) {
                deaths.add(found.path("message").textValue());
            }
            String last = found.path("running").asText(lastCheck(found));
            boolean died = !whole || found.path("died").booleanValue();
            boolean goesOn = died && !end.stuck() && !last.isEmpty() && deaths.size() < MOST_DEATHS;
            if (!goesOn) {
                finish(stage, deaths);
                return;
            }
            after = last;
            before = stage.deepCopy();
            out.printf(Locale.ROOT, "== %s goes on behind '%s' in another process%n", name, after);
        }
    }

    private static String lastCheck(JsonNode found) {
        JsonNode checks = found.path("checks");
        return checks.isEmpty() ? "" : checks.get(checks.size() - 1).path("name").asText("");
    }

    private static void finish(ObjectNode stage, List<String> deaths) {
        stage.remove(List.of("running", "died"));
        if (!deaths.isEmpty()) {
            stage.put("passed", false).put("message", String.join("; ", deaths));
            ArrayNode list = stage.putArray("deaths");
            deaths.forEach(list::add);
        }
    }

    /** What processes before found, and what this one has found: lists one behind the other, counts and seconds added. */
    private static void join(ObjectNode before, JsonNode found, ObjectNode stage) {
        stage.removeAll();
        stage.setAll(before);
        found.properties().forEach(field -> {
            JsonNode old = before.path(field.getKey());
            JsonNode more = field.getValue();
            if (old instanceof ArrayNode list && more instanceof ArrayNode next) {
                stage.set(field.getKey(), list.deepCopy().addAll(next));
            } else if (old.isInt() && more.isInt()) {
                stage.put(field.getKey(), old.intValue() + more.intValue());
            } else if (field.getKey().equals("seconds") && old.isNumber()) {
                stage.put("seconds", old.doubleValue() + more.doubleValue());
            } else if (field.getKey().equals("passed") && old.isBoolean()) {
                stage.put("passed", old.booleanValue() && more.booleanValue());
            } else {
                stage.set(field.getKey(), more);
            }
        });
    }

    private static JsonNode read(Path file, String name) {
        try {
            return Files.exists(file) ? MAPPER.readTree(file.toFile()).path("stages").path(name) : MAPPER.createObjectNode();
        } catch (IOException e) {
            // Nothing to be read from it says as much as no file: the process died before it found anything.
            return MAPPER.createObjectNode();
        }
    }
}
