package org.respec.tools.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.respec.engine.BadInput;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

/** Pages of small run folders: of a run of today and one by an earlier version, without speculation, not ended, only begun. */
class ReportTest {
    private static final Path RUNS = Path.of("src", "test", "resources", "org", "respec", "tools", "report", "runs");
    private static final JsonMapper JSON = new JsonMapper();

    @TempDir
    private Path folder;

    private static Report report(String... names) {
        return new Report(RunRecord.read(Stream.of(names).map(RUNS::resolve).toList()));
    }

    private static String page(String... names) {
        return report(names).toHtml(Instant.parse("2026-11-24T12:34:56Z"));
    }

    static Stream<List<String>> choices() {
        return Stream.of(List.of("adaptive"), List.of("off"), List.of("earlier"), List.of("running"), List.of("begun"),
            List.of("adaptive", "off"), List.of("earlier", "adaptive"), List.of("running", "begun"),
            List.of("adaptive", "off", "earlier", "running", "begun"));
    }

    @ParameterizedTest
    @MethodSource("choices")
    void everyPageIsWellFormedAndNeedsNothingElse(List<String> names) throws Exception {
        String html = page(names.toArray(String[]::new));
        Document page = parse(html);
        NodeList headings = page.getElementsByTagName("h2");
        assertEquals("Summary", headings.item(0).getTextContent());
        assertFalse(html.replace("http://www.w3.org/", "").contains("http"), "a link to somewhere");
        for (String tag : List.of("script", "link", "img", "iframe", "object")) {
            assertEquals(0, page.getElementsByTagName(tag).getLength(), tag);
        }
        for (String broken : List.of("NaN", "null", "Infinity", "∞", "Optional", "{{", "@")) {
            assertFalse(text(page).contains(broken), broken + " in: " + text(page));
        }
        NodeList figures = page.getElementsByTagName("figure");
        for (int i = 0; i < figures.getLength(); i++) {
            assertTrue(((org.w3c.dom.Element) figures.item(i)).getElementsByTagName("text").getLength() > 3, "a figure without labels");
        }
    }

    private static Document parse(String html) throws Exception {
        String xml = html.replace("<!DOCTYPE html>", "").replaceAll("<meta ([^>]*)>", "<meta $1/>");
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(xml)));
    }

    /** What a person reads, style apart. */
    private static String text(Document page) {
        return page.getElementsByTagName("body").item(0).getTextContent();
    }

    private static List<String> titles(String html) {
        return Pattern.compile("<figure><h3>([^<]*)</h3>").matcher(html).results().map(m -> m.group(1)).toList();
    }

    @Test
    void aRunOfTodayShowsEverything() {
        assertEquals(List.of("Reward", "Held-out accuracy", "Gradient norm of the actor", "Loss of the drafter", "Accept length",
            "Rollout speed", "Decode speed by load", "Error of predicted step times", "Error of predicted tokens",
            "Accept length by reward", "Plans over time", "Plans by load", "Draft tokens over time and load", "Time by stage",
            "Host processors", "Device used by others", "Response lengths, all iterations", "Where decode time goes",
            "Response lengths over time"), titles(page("adaptive")));
    }

    @Test
    void whatAnEarlierRunDidNotKeepIsSaidInASentence() {
        String html = page("earlier");
        assertEquals(List.of("Reward", "Held-out accuracy", "Gradient norm of the actor", "Accept length",
            "Rollout speed", "Plans over time", "Time by stage", "Response lengths over time"), titles(html));
        assertTrue(html.contains("earlier has no config.json, which earlier versions did not keep; no steps by live requests"), html);
        assertTrue(page("running").contains("running has no summary.json, for it has not ended"));
        assertTrue(page("begun").contains("begun has no iteration yet; no summary.json"));
        assertTrue(page("off").contains("off never speculated, so its accept length is 1."));
    }

    @Test
    void comparedRunsSayWhatIsTheSameAndWhatDiffers() {
        String html = page("adaptive", "off");
        assertTrue(html.contains("All runs drew the same trajectories and ended with the same actor weights, bit for bit"), html);
        assertTrue(Pattern.compile("<th scope=\"row\">speculation.mode</th><td>adaptive</td><td>off</td>").matcher(html).find(), html);
        assertFalse(html.contains("<th scope=\"row\">run.dir</th><td>"), "run.dir differs in any two runs");
        assertTrue(page("adaptive", "earlier").contains("Fewer than two of these runs kept their config"));
        assertTrue(page("adaptive", "running").contains("The configs are the same, run.dir apart."));
    }

    @Test
    void numbersAreThoseOfTheFolder() throws IOException {
        ObjectNode json = report("adaptive", "off").toJson();
        JsonNode summary = JSON.readTree(RUNS.resolve("adaptive/summary.json").toFile());
        JsonNode run = json.at("/runs/0");
        assertEquals("adaptive", run.path("name").textValue());
        assertEquals(3, run.path("iterations").intValue());
        assertEquals(summary.at("/eval/accuracy_after").doubleValue(), run.at("/eval/accuracy_after").doubleValue());
        assertEquals(summary.at("/comparison/ratio_to_off").doubleValue(), run.at("/rollout/ratio_to_off").doubleValue());
        assertEquals(summary.at("/seconds/actor").doubleValue(), run.at("/seconds/actor").doubleValue());
        double few = 0;
        double all = 0;
        for (String line : Files.readAllLines(RUNS.resolve("adaptive/metrics.jsonl"))) {
            for (var live : JSON.readTree(line).path("steps_by_live").properties()) {
                for (JsonNode plan : live.getValue()) {
                    all += plan.get(3).doubleValue();
                    few += Integer.parseInt(live.getKey()) <= 4 ? plan.get(3).doubleValue() : 0;
                }
            }
        }
        assertEquals(4, run.at("/rollout/tail/live_at_most").intValue(), "an eighth of 32");
        assertEquals(few / all, run.at("/rollout/tail/share_of_seconds").doubleValue(), 1e-12);
        assertTrue(json.path("same_trajectories").booleanValue());
        assertEquals("off", json.at("/config_differences/speculation.mode/off").textValue());
        // Without a summary they come from the metrics, and what is not known is not there.
        JsonNode running = report("running").toJson().at("/runs/0");
        JsonNode line = JSON.readTree(Files.readString(RUNS.resolve("running/metrics.jsonl")));
        assertEquals(line.path("tokens").longValue(), running.at("/rollout/tokens").longValue());
        assertEquals(line.path("tokens").doubleValue() / line.at("/seconds/rollout").doubleValue(),
            running.at("/rollout/tokens_per_second").doubleValue(), 1e-6);
        assertTrue(running.at("/eval/accuracy_after").isMissingNode());
        assertNull(report("adaptive", "running").toJson().get("same_trajectories"));
    }

    @Test
    void anotherTrajectoryIsNoticed() throws IOException {
        Path other = copy("off", "other", null);
        Path file = other.resolve("summary.json");
        Files.writeString(file, Files.readString(file).replaceAll("(\"trajectory_sha256\"\\s*:\\s*\")..", "$1zz"));
        Report report = new Report(RunRecord.read(List.of(RUNS.resolve("adaptive"), other)));
        assertFalse(report.toJson().path("same_trajectories").booleanValue());
        assertTrue(report.toHtml(Instant.EPOCH).contains("The runs drew different trajectories."));
    }

    @Test
    void whatComesFromFilesIsEscaped() throws Exception {
        Path odd = copy("adaptive", "<b>a&\"b'</b>", line -> {
            line.withObjectProperty("plans").put("<script>alert(1)</script>", 500);
            line.put("plan", "<i>");
        });
        Files.writeString(odd.resolve("config.json"), "{\"run\":{\"seed\":\"<u>\"},\"<s>\":\"</td>\"}");
        String html = new Report(RunRecord.read(List.of(odd))).toHtml(Instant.EPOCH);
        Document page = parse(html);
        for (String tag : List.of("script", "b", "i", "u", "s")) {
            assertEquals(tag.equals("b") ? 6 : 0, page.getElementsByTagName(tag).getLength(), tag);
        }
        assertTrue(text(page).contains("<script>alert(1)</script>"), "the plan's name is in a legend");
    }

    @Test
    void manyIterationsAreBinned() throws IOException {
        Path many = Files.createDirectories(folder.resolve("many"));
        JsonNode line = JSON.readTree(Files.readAllLines(RUNS.resolve("adaptive/metrics.jsonl")).getFirst());
        StringBuilder text = new StringBuilder();
        for (int i = 1; i <= 2000; i++) {
            text.append(((ObjectNode) line).put("iteration", i)).append('\n');
        }
        Files.writeString(many.resolve("metrics.jsonl"), text.toString());
        String html = new Report(RunRecord.read(List.of(many))).toHtml(Instant.EPOCH);
        assertTrue(html.contains("Each bar is the mean of 23 iterations, each point of a line that of 7."), "said under the plot");
        assertTrue(html.length() < 1_000_000, "a page of " + html.length() + " characters");
    }

    @Test
    void namesTellRunsApart() throws IOException {
        copy("adaptive", "x/run", null);
        copy("adaptive", "y/run", null);
        assertEquals(List.of("x/run", "y/run"),
            RunRecord.read(List.of(folder.resolve("x/run"), folder.resolve("y/run"))).stream().map(RunRecord::name).toList());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{\"iteration\":1,\"rew | line 1: it is cut short or not JSON",
        "{\"iteration\":1} {} | line 1: it is cut short or not JSON",
        "[1] | line 1: it is not a JSON object",
        "{\"reward\":1} | line 1: iteration must be a whole number above that of the line before, not missing",
        "{\"iteration\":0} | iteration must be",
        "{\"iteration\":1.5} | iteration must be",
        "{\"iteration\":1e30} | iteration must be",
        "{\"iteration\":1,\"reward\":\"high\"} | line 1: reward must be a number, not \"high\"",
        "{\"iteration\":1,\"seconds\":{\"actor\":[]}} | line 1: seconds.actor must be a number, not []",
        "{\"iteration\":1,\"plans\":[1]} | line 1: plans must be an object",
        "{\"iteration\":1,\"steps_by_live\":{\"x\":{}}} | line 1: steps_by_live.x must be",
        "{\"iteration\":1,\"steps_by_live\":{\"4\":{\"off\":[1,2]}}} | line 1: steps_by_live.4.off must be",
        "{\"iteration\":1,\"steps_by_live\":{\"4\":{\"off\":[1,2,-3,4]}}} | line 1: steps_by_live.4.off must be",
        "{\"iteration\":1,\"response_length\":{\"width\":1,\"counts\":[{}]}} | line 1: response_length.counts must hold numbers",
    })
    void aDamagedMetricsFileIsRefused(String text, String message) throws IOException {
        Files.writeString(folder.resolve("metrics.jsonl"), text + "\n");
        BadInput e = assertThrows(BadInput.class, () -> new Report(RunRecord.read(List.of(folder))).toHtml(Instant.EPOCH));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertTrue(e.getMessage().contains("metrics.jsonl"), e.getMessage());
    }

    @Test
    void whatIsNoRunFolderIsRefused() throws IOException {
        bad("there is no such run folder", folder.resolve("none"));
        bad("it is not a run folder, for it has no metrics.jsonl", folder);
        bad("is named twice", RUNS.resolve("off"), RUNS.resolve("x/../off"));
        Path run = copy("adaptive", "run", null);
        Files.writeString(run.resolve("summary.json"), "{\"iterations\": 3,");
        bad("summary.json: it is cut short", run);
        Files.writeString(run.resolve("summary.json"), "{\"eval\":{\"accuracy_after\":\"good\"}}");
        bad("summary.json: eval.accuracy_after must be a number", run);
        Files.delete(run.resolve("summary.json"));
        Files.writeString(run.resolve("config.json"), "7");
        bad("config.json: it is not a JSON object", run);
        Files.delete(run.resolve("config.json"));
        Files.write(run.resolve("metrics.jsonl"), new byte[] {(byte) 0xff, (byte) 0xfe, '\n'});
        bad("it is not UTF-8", run);
    }

    private static void bad(String message, Path... folders) {
        BadInput e = assertThrows(BadInput.class, () -> new Report(RunRecord.read(List.of(folders))));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    /** Copies a run under another name, its metrics lines edited. */
    private Path copy(String name, String as, Consumer<ObjectNode> edit) throws IOException {
        Path to = Files.createDirectories(folder.resolve(as));
        for (String file : List.of("config.json", "summary.json")) {
            Files.copy(RUNS.resolve(name).resolve(file), to.resolve(file));
        }
        StringBuilder text = new StringBuilder();
        for (String line : Files.readAllLines(RUNS.resolve(name).resolve("metrics.jsonl"))) {
            ObjectNode json = (ObjectNode) JSON.readTree(line);
            if (edit != null) {
                edit.accept(json);
            }
            text.append(json).append('\n');
        }
        Files.writeString(to.resolve("metrics.jsonl"), text.toString());
        return to;
    }
}
