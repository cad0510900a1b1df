package org.respec.engine.run;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.SafeFiles;
import org.respec.engine.StrictJson;
import org.respec.engine.speculation.CostProfile;

/**
 * Costs that were measured before, kept in a folder: a file for each device, model, engine and size. A file that is old, damaged or
 * of something else is measured again and replaced, and costs a sentence and some seconds.
 */
final class CostCache {
    /** To be raised whenever passes come to take other times: kernels, the probe, the passes themselves. */
    private static final String ENGINE = "0.1.0/8";
    private static final Duration FRESH = Duration.ofDays(14);
    private static final long MAX_BYTES = 1 << 20;
    private static final int MAX_SAMPLES = 4096;
    private static final int MAX_ROWS = 1 << 24;

    private final Path folder;
    private final Consumer<String> says;

    /**
     * A cache in a folder, made when something is kept.
     *
     * @param says gets the sentence when a file is not used
     */
    CostCache(Path folder, Consumer<String> says) {
        this.folder = folder;
        this.says = says;
    }

    /**
     * Costs of what {@code key} names, measured if they are not known.
     *
     * @param key device, model and sizes, in words
     * @param measure fills an empty profile
     */
    CostProfile get(String key, Consumer<CostProfile> measure) {
        Path file = folder.resolve("costs-" + name(key) + ".json");
        if (Files.exists(file)) {
            try {
                return read(file, key);
            } catch (BadInput e) {
                says.accept(e.getMessage().replaceAll("\\.$", "") + "; costs are measured again.");
            }
        }
        CostProfile profile = new CostProfile();
        measure.accept(profile);
        try {
            Files.createDirectories(folder);
            write(file, key, profile);
        } catch (IOException | BadInput e) {
            says.accept(file + ": costs cannot be kept (" + e.getMessage() + "); they are measured at every start.");
        }
        return profile;
    }

    private static String name(String key) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest((ENGINE + " " + key).getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash, 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }

    private static CostProfile read(Path file, String key) {
        try {
            if (Files.getLastModifiedTime(file).toInstant().isBefore(Instant.now().minus(FRESH))) {
                throw new BadInput(file + ": it is older than " + FRESH.toDays() + " days.");
            }
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read (" + e.getMessage() + ").", e);
        }
        StrictJson root = StrictJson.read(file, MAX_BYTES, "a file of costs").knows("engine", "of", "verify", "draft", "level", "overhead");
        root.finish();
        if (!root.text("engine").equals(ENGINE) || !root.text("of").equals(key)) {
            throw root.bad("of", "is not what is run here");
        }
        CostProfile profile = new CostProfile();
        samples(root, "verify").forEach(s -> profile.addVerify(s.requests(), s.rows(), s.seconds()));
        samples(root, "draft").forEach(s -> profile.addDraft(s.requests(), s.rows(), s.seconds()));
        optional(root, "level").forEach(s -> profile.addLevel(s.requests(), s.rows(), s.seconds()));
        optional(root, "overhead").forEach(s -> profile.addOverhead(s.requests(), s.seconds()));
        return profile;
    }

    /** What drafters that are models have. */
    private static List<CostProfile.Sample> optional(StrictJson root, String field) {
        return root.has(field) ? samples(root, field) : List.of();
    }

    private static List<CostProfile.Sample> samples(StrictJson root, String field) {
        List<CostProfile.Sample> samples = new ArrayList<>();
        for (StrictJson each : root.objects(field, MAX_SAMPLES)) {
            each.knows("requests", "rows", "seconds").finish();
            int requests = each.integer("requests", 1, MAX_ROWS);
            int rows = each.integer("rows", requests, MAX_ROWS);
            if (samples.stream().anyMatch(s -> s.requests() == requests && s.rows() == rows)) {
                throw each.bad("rows", "is " + rows + " of " + requests + " requests again");
            }
            samples.add(new CostProfile.Sample(requests, rows, each.number("seconds", 1e-9, 1e6)));
        }
        return samples;
    }

    private static void write(Path file, String key, CostProfile profile) {
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("engine", ENGINE).put("of", key);
        samples(root.putArray("verify"), profile.verifySamples());
        samples(root.putArray("draft"), profile.draftSamples());
        if (!profile.levelSamples().isEmpty()) {
            samples(root.putArray("level"), profile.levelSamples());
            samples(root.putArray("overhead"), profile.overheadSamples());
        }
        SafeFiles.write(file, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static void samples(ArrayNode list, List<CostProfile.Sample> samples) {
        samples.forEach(s -> list.addObject().put("requests", s.requests()).put("rows", s.rows()).put("seconds", s.seconds()));
    }
}
