package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.run.TrainingRun;

/** A run's TensorBoard file: the scalars of every metrics line, by iteration. */
public final class EventLog implements TrainingRun.Listener, AutoCloseable {
    /** TensorBoard finds files by the first part; the last one says that the file is ours. */
    private static final String PREFIX = "events.out.tfevents.";
    private static final String SUFFIX = ".respec";

    private final Path file;
    private final FileChannel channel;

    private EventLog(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Opens the file of a run folder, or makes it, and brings it to what {@code metrics.jsonl} holds: events of later iterations, which
     * will be run again, and a record that a killed run left half written are cut off; what is missing is added.
     *
     * @throws BadInput if the metrics cannot be read or the file cannot be written
     */
    public static EventLog open(Path folder) {
        return open(folder, Files.exists(folder.resolve("metrics.jsonl"))
            ? RunRecord.lines(folder).stream().map(MetricsLine::json).toList() : List.of());
    }

    private static EventLog open(Path folder, List<JsonNode> lines) {
        long lastStep = lines.isEmpty() ? 0 : step(lines.getLast());
        double start = lines.isEmpty() ? System.currentTimeMillis() * 1e-3 : time(lines.getFirst());
        EventLog log = null;
        try {
            Path file = existing(folder);
            if (file == null) {
                file = folder.resolve(String.format(Locale.ROOT, "%s%010d%s", PREFIX, (long) start, SUFFIX));
            }
            log = new EventLog(file, FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE));
            EventRecords.Extent extent = EventRecords.scan(Files.readAllBytes(file), lastStep);
            log.channel.truncate(extent.bytes());
            log.channel.position(extent.bytes());
            if (extent.bytes() == 0) {
                log.write(EventRecords.header(start));
            }
            for (JsonNode line : lines) {
                if (step(line) > extent.lastStep()) {
                    log.append(line);
                }
            }
            log.channel.force(false);
            return log;
        } catch (IOException e) {
            if (log != null) {
                log.close();
            }
            throw bad(folder, e);
        }
    }

    private static Path existing(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(f -> f.getFileName().toString().startsWith(PREFIX) && f.getFileName().toString().endsWith(SUFFIX)).sorted()
                .findFirst().orElse(null);
        }
    }

    /** The file of events. */
    public Path file() {
        return file;
    }

    @Override
    public void started(int firstIteration, int iterations) {
        // Opening has brought the file to there.
    }

    @Override
    public void iterated(ObjectNode metrics) {
        append(metrics);
    }

    private void append(JsonNode line) {
        Map<String, Double> values = scalars(line);
        try {
            write(EventRecords.scalars(time(line), step(line), values));
            channel.force(false);
        } catch (IOException e) {
            throw bad(file, e);
        }
    }

    /** Numbers of a line by tag, {@code seconds/rollout} for a field in a section; lists and what is counted by load are left out. */
    static Map<String, Double> scalars(JsonNode line) {
        Map<String, Double> values = new TreeMap<>();
        line.properties().forEach(field -> {
            if (!field.getKey().equals("iteration") && !field.getKey().equals("time") && !field.getKey().equals("steps_by_live")) {
                add(field.getKey(), field.getValue(), values);
            }
        });
        return values;
    }

    private static void add(String tag, JsonNode value, Map<String, Double> values) {
        if (value.isNumber()) {
            values.put(tag, value.doubleValue());
        } else if (value.isObject()) {
            value.properties().forEach(field -> add(tag + "/" + field.getKey(), field.getValue(), values));
        }
    }

    private static long step(JsonNode line) {
        return line.path("iteration").longValue();
    }

    private static double time(JsonNode line) {
        return line.path("time").asDouble(0);
    }

    private void write(byte[] bytes) throws IOException {
        SafeFiles.writeAll(channel, ByteBuffer.wrap(bytes));
    }

    private static BadInput bad(Path path, IOException e) {
        return new BadInput(path + ": the TensorBoard file cannot be written (" + e.getMessage() + "); check space and permissions.", e);
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new IllegalStateException(file + ": it cannot be closed", e);
        }
    }
}
