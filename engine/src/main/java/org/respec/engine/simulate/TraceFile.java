package org.respec.engine.simulate;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.StrictJson;
import org.respec.engine.speculation.AcceptanceTable;
import org.respec.engine.speculation.ProfileFile;
import org.respec.kernels.TreeBatch;

/**
 * Traces of requests, in JSON Lines: a request a line, in the order in which they are begun.
 *
 * <pre>{@code
 * {"tokens": 812}
 * {"tokens": 95, "arrival": 1.5, "group": 3, "accept_per_depth": [0.8, 0.7]}
 * }</pre>
 *
 * <ul>
 * <li>{@code tokens}: length of the response.</li>
 * <li>{@code arrival}: seconds from the start before which it cannot begin; 0 if it is not given.</li>
 * <li>{@code group}: a whole number; requests of a group share a prompt and go to the same worker.</li>
 * <li>{@code accept_per_depth}: as in a profile (see {@link ProfileFile}), for this request; the profile's if it is not given.</li>
 * </ul>
 *
 * Empty lines are skipped.
 */
public final class TraceFile {
    /** Longest response that a trace may have. */
    public static final int MAX_TOKENS = 10_000_000;
    private static final long MAX_BYTES = 1L << 28;
    private static final double MAX_SECONDS = 1e9;

    private TraceFile() {
    }

    /**
     * Reads a trace.
     *
     * @throws BadInput naming file, line, field and reason
     */
    public static List<TraceRequest> read(Path file) {
        return parse(file.toString(), StrictJson.bytes(file, MAX_BYTES, "a trace"));
    }

    /** Reads a trace from bytes; {@code source} is what messages name. */
    static List<TraceRequest> parse(String source, byte[] bytes) {
        List<TraceRequest> requests = new ArrayList<>();
        int line = 0;
        for (int from = 0; from < bytes.length; ) {
            int to = from;
            while (to < bytes.length && bytes[to] != '\n') {
                to++;
            }
            line++;
            byte[] text = Arrays.copyOfRange(bytes, from, to);
            if (!new String(text, StandardCharsets.ISO_8859_1).isBlank()) {
                requests.add(request(StrictJson.parse(source + ", line " + line, text)));
            }
            from = to + 1;
        }
        if (requests.isEmpty()) {
            throw new BadInput(source + ": it has no requests; give a line like {\"tokens\": 100} for each.");
        }
        return requests;
    }

    private static TraceRequest request(StrictJson line) {
        line.knows("tokens", "arrival", "group", "accept_per_depth").finish();
        return new TraceRequest(line.integer("tokens", 1, MAX_TOKENS), line.has("arrival") ? line.number("arrival", 0, MAX_SECONDS) : 0,
            line.has("group") ? line.integer("group", 0, Integer.MAX_VALUE) : -1,
            line.has("accept_per_depth") ? ProfileFile.acceptance(line) : null);
    }

    /** Writes a trace that {@link #read} reads. */
    public static void write(Path file, List<TraceRequest> requests) {
        StringBuilder text = new StringBuilder();
        for (TraceRequest request : requests) {
            text.append("{\"tokens\": ").append(request.tokens());
            if (request.arrival() > 0) {
                text.append(", \"arrival\": ").append(request.arrival());
            }
            if (request.group() >= 0) {
                text.append(", \"group\": ").append(request.group());
            }
            if (request.acceptance() != null) {
                text.append(", \"accept_per_depth\": ").append(chances(request.acceptance()));
            }
            text.append("}\n");
        }
        SafeFiles.write(file, text.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** Rows by depth, those at the end that repeat the one before left out; a rank alone is a number. */
    private static String chances(AcceptanceTable acceptance) {
        List<String> rows = new ArrayList<>();
        for (int depth = 1; depth <= TreeBatch.MAX_DEPTH; depth++) {
            int ranks = TreeBatch.MAX_BRANCH;
            while (ranks > 1 && acceptance.chance(depth, ranks - 1) == 0) {
                ranks--;
            }
            List<String> row = new ArrayList<>();
            for (int rank = 0; rank < ranks; rank++) {
                row.add(number(acceptance.chance(depth, rank)));
            }
            rows.add(ranks == 1 ? row.getFirst() : row.toString());
        }
        while (rows.size() > 1 && rows.getLast().equals(rows.get(rows.size() - 2))) {
            rows.removeLast();
        }
        return rows.toString();
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.6f", value).replaceAll("\\.?0+$", "");
    }
}
