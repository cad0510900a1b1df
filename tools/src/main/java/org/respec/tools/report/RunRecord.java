package org.respec.tools.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;

/**
 * What a run left in its folder.
 *
 * @param name what reports call it: the folder's name, with parents as far as it takes to tell runs apart
 * @param config the whole config; a missing node for runs that did not keep it
 * @param summary a missing node while a run has not ended
 * @param lines metrics by iteration, rising
 */
public record RunRecord(Path folder, String name, JsonNode config, JsonNode summary, List<MetricsLine> lines) {
    private static final JsonMapper JSON = JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();
    private static final long MOST_BYTES = 1L << 30;

    /**
     * Reads run folders.
     *
     * @throws BadInput naming file, line and reason if one is no run folder or holds something else than train wrote
     */
    public static List<RunRecord> read(List<Path> folders) {
        Set<Path> seen = new HashSet<>();
        for (Path folder : folders) {
            if (!seen.add(folder.toAbsolutePath().normalize())) {
                throw new BadInput(folder + ": the run is named twice; name each one once.");
            }
        }
        List<String> names = names(folders);
        List<RunRecord> runs = new ArrayList<>();
        for (int i = 0; i < folders.size(); i++) {
            Path folder = folders.get(i);
            runs.add(new RunRecord(folder, names.get(i), json(folder.resolve("config.json")), json(folder.resolve("summary.json")),
                lines(folder)));
        }
        return runs;
    }

    private static List<String> names(List<Path> folders) {
        for (int parts = 1; ; parts++) {
            List<String> names = new ArrayList<>();
            boolean longer = false;
            for (Path folder : folders) {
                Path path = folder.toAbsolutePath().normalize();
                int count = path.getNameCount();
                names.add(count == 0 ? path.toString() : path.subpath(Math.max(0, count - parts), count).toString());
                longer |= count > parts;
            }
            if (!longer || new HashSet<>(names).size() == names.size()) {
                return names;
            }
        }
    }

    /** The metrics of a run folder, as they were written. */
    static List<MetricsLine> lines(Path folder) {
        if (!SafeFiles.isFolder(folder)) {
            throw new BadInput(folder + ": there is no such run folder; name one that train wrote.");
        }
        Path file = folder.resolve("metrics.jsonl");
        if (!SafeFiles.isFile(file)) {
            throw new BadInput(folder + ": it is not a run folder, for it has no metrics.jsonl; name one that train wrote.");
        }
        List<MetricsLine> lines = new ArrayList<>();
        int number = 0;
        try {
            checkSize(file);
            try (BufferedReader reader = Files.newBufferedReader(file)) {
                String text;
                int last = 0;
                while ((text = reader.readLine()) != null) {
                    number++;
                    if (text.isBlank()) {
                        continue;
                    }
                    String where = file + ": line " + number;
                    JsonNode json = parse(text, where, "; resume the run, which mends the end of the file, or delete the line.");
                    JsonNode iteration = json.path("iteration");
                    if (!iteration.canConvertToInt() || !iteration.isIntegralNumber() || iteration.intValue() <= last) {
                        throw new BadInput(where + ": iteration must be a whole number above that of the line before, not "
                            + (iteration.isMissingNode() ? "missing" : iteration) + "; was the file edited?");
                    }
                    last = iteration.intValue();
                    lines.add(new MetricsLine(where, json));
                }
            }
        } catch (CharacterCodingException e) {
            throw new BadInput(file + ": it is not UTF-8 text after line " + number + "; was it damaged?", e);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + e.getMessage() + "); check its permissions.", e);
        }
        return lines;
    }

    private static JsonNode json(Path file) {
        if (!SafeFiles.exists(file)) {
            return MissingNode.getInstance();
        }
        try {
            checkSize(file);
            return parse(Files.readString(file), file.toString(), "; run it again, or delete the file to report without it.");
        } catch (CharacterCodingException e) {
            throw new BadInput(file + ": it is not UTF-8 text; was it damaged?", e);
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + e.getMessage() + "); check its permissions.", e);
        }
    }

    private static void checkSize(Path file) throws IOException {
        if (Files.size(file) > MOST_BYTES) {
            throw new BadInput(file + ": it has " + Files.size(file) + " bytes, more than the " + MOST_BYTES + " that a run writes.");
        }
    }

    private static JsonNode parse(String text, String where, String mend) {
        try {
            JsonNode json = JSON.readTree(text);
            if (json != null && json.isObject()) {
                return json;
            }
        } catch (JsonProcessingException e) {
            throw new BadInput(where + ": it is cut short or not JSON" + mend, e);
        }
        throw new BadInput(where + ": it is not a JSON object" + mend);
    }

    /** A number of the summary, or NaN where there is none. */
    double summary(String... keys) {
        JsonNode node = summary;
        for (String key : keys) {
            node = node.path(key);
        }
        return MetricsLine.number(node, folder.resolve("summary.json").toString(), keys);
    }

    boolean ended() {
        return !summary.isMissingNode();
    }

    /** Numbers of the iterations. */
    double[] iterations() {
        return lines.stream().mapToDouble(MetricsLine::iteration).toArray();
    }

    /** A field over the iterations; NaN where it is missing. */
    double[] values(String... keys) {
        return lines.stream().mapToDouble(line -> line.number(keys)).toArray();
    }
}
