package org.respec.engine.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.respec.engine.speculation.CostProfile;
import org.respec.engine.speculation.SpeculationPlan;

class CostCacheTest {
    @TempDir
    private Path folder;
    private final List<String> said = new ArrayList<>();
    private int measured;

    private CostProfile get(String key) {
        return new CostCache(folder.resolve("deep/er"), said::add).get(key, profile -> {
            measured++;
            for (int batch : new int[] {1, 4}) {
                for (int rows : new int[] {1, 3, 9}) {
                    profile.addVerify(batch, batch * rows, 1e-3 / 3 + 1e-5 * batch * rows);
                    profile.addDraft(batch, batch * rows, 1e-4 / 3 + 1e-6 * batch * rows);
                    if (key.equals("this")) {
                        profile.addLevel(batch, batch * rows, 1e-4 / 7 + 1e-6 * batch * rows);
                    }
                }
                if (key.equals("this")) {
                    profile.addOverhead(batch, 1e-5 * batch / 3);
                }
            }
        });
    }

    private Path file() throws IOException {
        try (var files = Files.list(folder.resolve("deep/er"))) {
            return files.reduce((a, b) -> {
                throw new AssertionError(a + " and " + b);
            }).orElseThrow();
        }
    }

    @Test
    void whatWasMeasuredIsKeptExactly() throws IOException {
        CostProfile first = get("this");
        CostProfile second = get("this");
        assertEquals(1, measured);
        assertEquals(first.verifySamples(), second.verifySamples());
        assertEquals(first.draftSamples(), second.draftSamples());
        assertEquals(first.levelSamples(), second.levelSamples());
        assertEquals(6, second.levelSamples().size());
        assertEquals(first.overheadSamples(), second.overheadSamples());
        assertEquals(2, second.overheadSamples().size());
        assertEquals(first.draftSeconds(2, SpeculationPlan.parse("3x2x6"), 3),
            second.draftSeconds(2, SpeculationPlan.parse("3x2x6"), 3));
        assertEquals(12, first.verifySamples().size() + first.draftSamples().size());
        file();
        get("that");
        assertEquals(2, measured, "another device or model");
        assertEquals(List.of(), get("that").levelSamples());
        assertEquals(2, measured);
        assertEquals(List.of(), said);
    }

    @Test
    void anOldFileIsMeasuredAgain() throws IOException {
        get("this");
        Files.setLastModifiedTime(file(), FileTime.from(Instant.now().minus(Duration.ofDays(15))));
        get("this");
        assertEquals(2, measured);
        assertTrue(said.getFirst().endsWith("it is older than 14 days; costs are measured again."), said.toString());
        get("this");
        assertEquals(2, measured, "it was replaced");
    }

    /** Whatever a file has become: it is used whole, or measured again with one sentence. */
    @Test
    void damagedFilesAreMeasuredAgain() throws IOException {
        CostProfile first = get("this");
        byte[] whole = Files.readAllBytes(file());
        SplittableRandom random = new SplittableRandom(31);
        int again = 0;
        for (int round = 0; round < 150; round++) {
            byte[] bytes = round < 50 ? java.util.Arrays.copyOf(whole, random.nextInt(whole.length)) : whole.clone();
            for (int edit = 0; edit < (round < 50 ? 0 : 3); edit++) {
                bytes[random.nextInt(bytes.length)] = (byte) (round % 2 == 0 ? random.nextInt(256) : '0' + random.nextInt(10));
            }
            Files.write(file(), bytes);
            said.clear();
            int before = measured;
            CostProfile profile = get("this");
            assertEquals(first.verifySamples().size(), profile.verifySamples().size());
            assertTrue(profile.verify(4, 20) > 0);
            assertEquals(measured - before, said.size());
            for (String sentence : said) {
                assertTrue(sentence.endsWith("; costs are measured again.") && sentence.lines().count() == 1, sentence);
                again++;
            }
        }
        assertTrue(again > 70, again + " of 150 were measured again");
        Files.writeString(file(), new String(whole, StandardCharsets.UTF_8).replace("\"of\" : \"this\"", "\"of\" : \"that\""));
        said.clear();
        get("this");
        assertTrue(said.getFirst().contains("of is not what is run here"), said.toString());
    }

    @Test
    void aFolderThatCannotBeMadeCostsASentence() throws IOException {
        Files.writeString(folder.resolve("deep"), "a file");
        get("this");
        get("this");
        assertEquals(2, measured);
        assertEquals(2, said.size());
        assertTrue(said.getFirst().contains("costs cannot be kept"), said.toString());
    }
}
