package org.respec.engine.speculation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.engine.BadInput;

class ProfileFileTest {
    private static final SpeculationPlan SHALLOW = SpeculationPlan.parse("2x1x2");
    private static final SpeculationPlan DEEP = SpeculationPlan.parse("4x2x8");
    private static final String CELLS = """
        {"cells": [{"batch": 1, "plan": "off", "tokens_per_second": 100}, {"batch": 16, "plan": "off", "tokens_per_second": 1000},
          {"batch": 1, "plan": "4x2x8", "tokens_per_second": 200}, {"batch": 16, "plan": "4x2x8", "tokens_per_second": 700},
          {"batch": 1, "plan": "2x1x2", "tokens_per_second": 170}, {"batch": 16, "plan": "2x1x2", "tokens_per_second": 1100}]}""";
    private static final String PARTS = """
        {"note": "made up", "cost_ms": [{"batch": 1, "plan": "off", "verify": 10}, {"batch": 9, "plan": "off", "draft": 0, "verify": 12},
          {"batch": 1, "plan": "2x1x2", "draft": 1, "verify": 11}, {"batch": 9, "plan": "2x1x2", "draft": 2, "verify": 16},
          {"batch": 1, "plan": "4x2x8", "draft": 2, "verify": 12}, {"batch": 9, "plan": "4x2x8", "draft": 4, "verify": 28}],
         "accept_per_depth": [0.8, 0.5], "extend_ms_per_token": 0.25}""";

    private static PlanTable table(String json) {
        return ProfileFile.parse("profile.json", json.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void speedsPassThroughTheirCells() {
        PlanTable table = table(CELLS);
        assertEquals(List.of(SpeculationPlan.OFF, SHALLOW, DEEP), table.plans());
        assertEquals(Map.of(SpeculationPlan.OFF, 100.0, SHALLOW, 170.0, DEEP, 200.0), table.scores(1, 0));
        assertEquals(Map.of(SpeculationPlan.OFF, 1000.0, SHALLOW, 1100.0, DEEP, 700.0), table.scores(16, 0));
        assertEquals(DEEP, table.best(1, 0));
        assertEquals(SHALLOW, table.best(16, 0));
        // A step of off takes 10 ms for 1 and 16 ms for 16, so 12 ms for 6.
        assertEquals(6 / 0.012, table.scores(6, 0).get(SpeculationPlan.OFF), 1e-9);
        assertThrows(IllegalStateException.class, () -> table.verifySeconds(1, DEEP));
    }

    @Test
    void speedsBetweenCellsLieBetween() {
        SplittableRandom random = new SplittableRandom(11);
        for (int round = 0; round < 500; round++) {
            int low = 1 + random.nextInt(40);
            int high = low + 2 + random.nextInt(40);
            double first = random.nextDouble(0.01, 1e4);
            double second = random.nextDouble(0.01, 1e4);
            PlanTable table = table(String.format(Locale.ROOT, """
                {"cells":[{"batch":%d,"plan":"off","tokens_per_second":%s},{"batch":%d,"plan":"off","tokens_per_second":%s}]}""",
                low, first, high, second));
            assertEquals(first, table.score(low, SpeculationPlan.OFF, 0));
            assertEquals(second, table.score(high, SpeculationPlan.OFF, 0));
            double last = first;
            for (int batch = low; batch <= high; batch++) {
                double score = table.score(batch, SpeculationPlan.OFF, 0);
                assertTrue(first <= second ? score >= last : score <= last, low + " to " + high + " at " + batch);
                last = score;
            }
        }
    }

    @Test
    void partsAddUp() {
        PlanTable table = table(PARTS);
        assertEquals(100, table.score(1, SpeculationPlan.OFF, 0));
        assertEquals(1000 * (1 + 0.8 + 0.4) / 12, table.score(1, SHALLOW, 0), 1e-9);
        // The third and fourth depths are as the second.
        assertEquals(1000 * (1 + 0.8 + 0.4 + 0.2 + 0.1) / 14, table.score(1, DEEP, 0), 1e-9);
        assertEquals(1000 * 5 * 2.5 / (3 + 20), table.score(5, DEEP, 0), 1e-9);
        assertEquals(0.011, table.verifySeconds(1, SHALLOW), 1e-12);
        assertEquals(0.003, table.draftSeconds(5, DEEP, 10), 1e-12);
        assertEquals(0.01, table.extendSeconds(1, 40), 1e-12);
    }

    @Test
    void ranksMakeBranchesCount() {
        String ranked = PARTS.replace("[0.8, 0.5]", "[[0.6, 0.2, 0.1], [0.5, 0.25]]");
        // 2x1x2 follows first choices alone; 4x2x8 keeps the eight likeliest of its fourteen candidates.
        assertEquals(1000 * (1 + 0.6 + 0.3) / 12, table(ranked).score(1, SHALLOW, 0), 1e-9);
        double nodes = 0.6 + 0.2 + 0.3 + 0.15 + 0.15 + 0.1 + 0.075 + 0.075;
        assertEquals(1000 * (1 + nodes) / 14, table(ranked).score(1, DEEP, 0), 1e-9);
    }

    @Test
    void outsideItsBatchesACurveKeepsToTheLineOrTheOrigin() {
        BatchCurve line = new BatchCurve(Map.of(4, 10.0, 8, 14.0));
        assertEquals(7, line.at(1), 1e-12);
        assertEquals(22, line.at(16), 1e-12);
        BatchCurve steep = new BatchCurve(Map.of(4, 10.0, 8, 100.0));
        assertEquals(2.5, steep.at(1), 1e-12);
        assertEquals(200, steep.at(16), 1e-12);
        BatchCurve falling = new BatchCurve(Map.of(4, 10.0, 8, 9.0));
        assertEquals(10, falling.at(1));
        assertEquals(9, falling.at(16));
        BatchCurve point = new BatchCurve(Map.of(4, 10.0));
        assertEquals(10, point.at(1));
        assertEquals(20, point.at(8));
    }

    @Test
    void tiesGoToOffThenToFewerTokens() {
        assertEquals(SpeculationPlan.OFF, table(CELLS.replaceAll("tokens_per_second\": \\d+", "tokens_per_second\": 300")).best(1, 0));
        assertEquals(SHALLOW, table(CELLS.replace("170", "200")).best(1, 0));
        // 2.2 tokens in 22 ms and 2.5 in 25 are as fast as off, as reals if not as doubles.
        assertEquals(SpeculationPlan.OFF, table(PARTS.replace("\"draft\": 1, \"verify\": 11", "\"draft\": 9, \"verify\": 13")
            .replace("\"draft\": 2, \"verify\": 12", "\"draft\": 10, \"verify\": 15")).best(1, 0));
    }

    private static String random(SplittableRandom random, boolean parts, List<SpeculationPlan> plans) {
        StringBuilder json = new StringBuilder(parts ? "{\"cost_ms\":[" : "{\"cells\":[");
        double base = random.nextDouble(1, 20);
        for (int batch : new int[] {1, 8, 64}) {
            for (SpeculationPlan plan : plans) {
                double verify = base * (1 + random.nextDouble(0, 0.05) * batch * plan.tokens()) + 0.01 * batch;
                json.append("{\"batch\":").append(batch).append(",\"plan\":\"").append(plan).append("\",");
                if (parts) {
                    json.append("\"draft\":").append(plan.isOff() ? 0 : random.nextDouble(0, 3));
                    json.append(",\"verify\":").append(verify).append("},");
                } else {
                    double gain = random.nextDouble(1, 1.01 + plan.depth());
                    json.append("\"tokens_per_second\":").append(1000 * batch * gain / verify).append("},");
                }
            }
        }
        json.setLength(json.length() - 1);
        return json + (parts ? "],\"accept_per_depth\":[" + random.nextDouble() + "," + random.nextDouble() + "]}" : "]}");
    }

    /** Whatever a profile says: load changes nothing at 0, leaves off at 1, and never makes the chosen plan a more eager one. */
    @Test
    void loadTurnsSpeculationDown() {
        SplittableRandom random = new SplittableRandom(12);
        List<SpeculationPlan> plans = new ArrayList<>(List.of(SpeculationPlan.OFF));
        for (String plan : List.of("1x1x1", "2x1x2", "3x1x3", "4x2x8", "6x4x24")) {
            plans.add(SpeculationPlan.parse(plan));
        }
        int chosen = 0;
        int changed = 0;
        for (int round = 0; round < 400; round++) {
            boolean parts = round % 2 == 0;
            PlanTable table = table(random(random, parts, plans));
            for (int batch : new int[] {1, 5, 8, 64, 100}) {
                Map<SpeculationPlan, Double> alone = table.scores(batch, 0);
                SpeculationPlan last = table.best(batch, 0);
                chosen += last.isOff() ? 0 : 1;
                Map<SpeculationPlan, Double> before = alone;
                for (double load = 0.1; load < 0.95; load += 0.1) {
                    Map<SpeculationPlan, Double> now = table.scores(batch, load);
                    assertEquals(alone.get(SpeculationPlan.OFF), now.get(SpeculationPlan.OFF));
                    double kept = 1;
                    for (SpeculationPlan plan : plans.subList(1, plans.size())) {
                        assertTrue(now.get(plan) < before.get(plan), plan + " at load " + load);
                        if (!parts) {
                            assertTrue(now.get(plan) / alone.get(plan) <= kept, "the more tokens, the more a plan suffers");
                            kept = now.get(plan) / alone.get(plan);
                        }
                    }
                    SpeculationPlan best = table.best(batch, load);
                    double gain = parts ? gain(table, best) : best.tokens();
                    double gainBefore = parts ? gain(table, last) : last.tokens();
                    assertTrue(gain <= gainBefore + 1e-9, "at batch " + batch + ", load " + load + ": " + last + " to " + best);
                    changed += best.equals(last) ? 0 : 1;
                    last = best;
                    before = now;
                }
                assertEquals(SpeculationPlan.OFF, table.best(batch, 1));
                assertEquals(SpeculationPlan.OFF, table.best(batch, 1 - 1e-9));
            }
        }
        assertTrue(chosen > 500 && changed > 200, "the tables are such that load matters: " + chosen + " chosen, " + changed + " changes");
    }

    private static double gain(PlanTable table, SpeculationPlan plan) {
        return new ExpectedTokens().refresh(table.acceptance()).of(plan);
    }

    /** Rows that come for free in a profile are not free when others use the arithmetic they hid in. */
    @Test
    void hiddenRowsShowUnderLoad() {
        assertEquals(10, SharedDevice.seconds(10, 10, 8, 0));
        assertEquals(10 + 10 * 8 / 256.0, SharedDevice.seconds(10, 10, 8, 0.5), 1e-12);
        assertEquals(10 + 4 / (1 - 0.75), SharedDevice.seconds(10, 14, 8, 0.75), 1e-12);
        assertEquals(Double.POSITIVE_INFINITY, SharedDevice.seconds(10, 9, 1, 1));
        assertEquals(10, SharedDevice.seconds(10, 10, 0, 1));
    }

    /** With the acceptance that cells were measured at, what steps take follows from them. */
    @Test
    void cellsWithAcceptanceGiveStepTimes() {
        PlanTable table = table(CELLS.replaceAll("}]}$", "}], \"accept_per_depth\": [0.8, 0.5]}"));
        assertEquals(0.01, table.verifySeconds(1, SpeculationPlan.OFF), 1e-12);
        assertEquals(2.5 / 200, table.verifySeconds(1, DEEP), 1e-12);
        assertEquals(0, table.draftSeconds(1, DEEP, 2));
        assertEquals(200, table.score(1, DEEP, 0));
        assertEquals(2.5 / (0.01 + 0.0025 * 2), table.score(1, DEEP, 0.5), 1e-9);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        []                                                        | profile.json: it must hold one JSON object.
        {"cells": [                                               | it cannot be read as JSON
        {"cells": []}{}                                           | it cannot be read as JSON
        {"cells": [], "cells": []}                                | Duplicate field 'cells'
        {}                                                        | cells is missing, and so is cost_ms
        {"cell": []}                                              | cell is not a known field; the nearest known one is cells.
        {"cells": 3}                                              | cells must be a list, not 3.
        {"cells": []}                                             | cells must hold 1 to 100000 entries, not 0.
        {"cells": [7]}                                            | cells[0] must be an object, not 7.
        {"cells": [{"plan":"off",@SPEED 1}]}         | cells[0].batch is missing; add it.
        {"cells": [{"batch":0,"plan":"off",@SPEED 1}]} | cells[0].batch must be a whole number from 1 to 1000000, not 0.
        {"cells": [{"batch":1.5,"plan":"off",@SPEED 1}]} | cells[0].batch must be a whole number
        {"cells": [{"batch":9999999999,"plan":"off",@SPEED 1}]} | cells[0].batch must be a whole number
        {"cells": [{"batch":"1","plan":"off",@SPEED 1}]} | cells[0].batch must be a whole number from 1 to 1000000, not "1".
        {"cells": [{"batch":1,"plan":"4x2",@SPEED 1}]} | cells[0].plan is wrong: speculation plan '4x2': write off, or
        {"cells": [{"batch":1,"plan":"4x2x3",@SPEED 1}]} | cells[0].plan is wrong: speculation plan 4x2x3: depth must be
        {"cells": [{"batch":1,"plan":"a\\nb",@SPEED 1}]} | cells[0].plan is wrong: speculation plan 'a?b'
        {"cells": [{"batch":1,"plan":4,@SPEED 1}]}   | cells[0].plan must be text, not 4.
        {"cells": [{@OFF,@SPEED 0}]} | cells[0].tokens_per_second must be a number from 1.0E-9 to 1000000000000, not 0.
        {"cells": [{@OFF,@SPEED -5}]} | cells[0].tokens_per_second must be a number
        {"cells": [{@OFF,@SPEED 1e999}]} | cells[0].tokens_per_second must be a number
        {"cells": [{@OFF,@SPEED NaN}]} | it cannot be read as JSON
        {"cells": [{@OFF,@SPEED "NaN"}]} | cells[0].tokens_per_second must be a number
        {"cells": [{@OFF,@SPEED null}]} | cells[0].tokens_per_second is missing; add it.
        {"cells": [{@OFF,"token_per_second":1}]} | cells[0].token_per_second is not a known field; the nearest known one is cells[0].tokens
        {"cells": [{@OFF,@SPEED 1},{@OFF,@SPEED 2}]} | cells[1].plan is off at batch 1 again; keep one cell
        {"cells": [{"batch":1,"plan":"1x1x1",@SPEED 1}]} | cells has no plan off
        {"cells": [{@OFF,@SPEED 1}], "cost_ms": []} | cells and cost_ms are both there
        {"cells": [{@OFF,@SPEED 1}], "note": 3} | note must be text, not 3.
        {"cells": [{@OFF,@SPEED 1}], @ACCEPT  [2]} | accept_per_depth[0] must be a number from 0 to 1, not 2.
        {"cost_ms": [{@OFF,"verify":1}]}        | accept_per_depth is missing; add it.
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  []} | accept_per_depth must hold 1 to 8 entries, not 0.
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  0.5} | accept_per_depth must be a list, not 0.5.
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  [0.5, -0.1]} | accept_per_depth[1] must be a number from 0 to 1, not -0.1.
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  [0.5, []]} | accept_per_depth[1] must hold 1 to 8 numbers, not 0.
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  [[0.5, "x"]]} | accept_per_depth[0][1] must be a number from 0 to 1
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  [[0.5, 0.6]]} | accept_per_depth[0] has chances that add up to more than 1
        {"cost_ms": [{@OFF,"verify":1}], @ACCEPT  [0.5], "extend_ms_per_token": -1} | extend_ms_per_token must be
        {"cost_ms": [{@OFF,"draft":1,"verify":1}], @ACCEPT  [0.5]} | cost_ms[0].draft is 1.0, but off drafts nothing
        {"cost_ms": [{"batch":1,"plan":"1x1x1","verify":1}], @ACCEPT  [0.5]} | cost_ms[0].draft is missing; add it.
        {"cost_ms": [{"batch":1,"plan":"1x1x1","draft":-1,"verify":1}], @ACCEPT  [0.5]} | cost_ms[0].draft must be a number from 0
        {"cost_ms": [{"batch":1,"plan":"1x1x1","draft":1,"verify":0}], @ACCEPT  [0.5]} | cost_ms[0].verify must be a number from
        {"cost_ms": [{@OFF,@SPEED 1}], @ACCEPT  [0.5]} | cost_ms[0].tokens_per_second is not a known field
        """)
    void faultsAreNamed(String json, String message) {
        String full = json.replace("@OFF", "\"batch\":1,\"plan\":\"off\"").replace("@SPEED", "\"tokens_per_second\":")
            .replace("@ACCEPT", "\"accept_per_depth\":");
        BadInput e = assertThrows(BadInput.class, () -> table(full));
        assertTrue(e.getMessage().startsWith("profile.json: ") && e.getMessage().contains(message), e.getMessage());
        assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    }

    @Test
    void filesAreCheckedFirst(@TempDir Path folder) throws IOException {
        Path none = folder.resolve("none.json");
        assertEquals(none + ": there is no such file; name a profile.",
            assertThrows(BadInput.class, () -> ProfileFile.read(none)).getMessage());
        assertThrows(BadInput.class, () -> ProfileFile.read(folder));
        Path file = folder.resolve("profile.json");
        Files.writeString(file, CELLS);
        assertEquals(200, ProfileFile.read(file).score(1, DEEP, 0));
        Files.write(file, new byte[(16 << 20) + 1]);
        assertTrue(assertThrows(BadInput.class, () -> ProfileFile.read(file)).getMessage().contains("too many"));
    }

    /** Bytes flipped, dropped, doubled and moved: a table that scores sensibly comes out, or one sentence. */
    @Test
    void mutatedFilesAreReadOrRefused() {
        SplittableRandom random = new SplittableRandom(13);
        int read = 0;
        int refused = 0;
        for (int round = 0; round < 20_000; round++) {
            byte[] bytes = mutate(random, (round % 2 == 0 ? CELLS : PARTS).getBytes(StandardCharsets.UTF_8));
            try {
                PlanTable table = ProfileFile.parse("profile.json", bytes);
                table.scores(1 + random.nextInt(200), random.nextDouble())
                    .forEach((plan, score) -> assertTrue(score >= 0 && score < 1e30, plan + " " + score));
                read++;
            } catch (BadInput e) {
                assertTrue(e.getMessage().startsWith("profile.json: ") && e.getMessage().endsWith("."), e.getMessage());
                assertEquals(1, e.getMessage().lines().count(), e.getMessage());
                refused++;
            } catch (RuntimeException e) {
                throw new AssertionError("round " + round + ": " + new String(bytes, StandardCharsets.ISO_8859_1), e);
            }
        }
        assertTrue(read > 500 && refused > 5000, read + " read, " + refused + " refused");
    }

    static byte[] mutate(SplittableRandom random, byte[] valid) {
        byte[] bytes = valid.clone();
        int edits = 1 + random.nextInt(3);
        for (int edit = 0; edit < edits; edit++) {
            int at = random.nextInt(bytes.length);
            int length = 1 + random.nextInt(Math.min(12, bytes.length - at));
            byte[] part = java.util.Arrays.copyOfRange(bytes, at, at + length);
            int to = random.nextInt(bytes.length - length + 1);
            switch (random.nextInt(7)) {
                case 5, 6 -> bytes[at] = Character.isDigit(bytes[at]) ? (byte) ('0' + random.nextInt(10)) : bytes[at];
                case 0 -> bytes[at] = (byte) random.nextInt(256);
                case 1 -> bytes[at] = (byte) "0123456789-.eE,:{}[]\"x\\ntf".charAt(random.nextInt(26));
                case 2 -> System.arraycopy(part, 0, bytes, to, length);
                case 3 -> bytes = splice(bytes, at, at + length, new byte[0]);
                default -> bytes = splice(bytes, to, to, part);
            }
        }
        return bytes;
    }

    private static byte[] splice(byte[] bytes, int from, int to, byte[] with) {
        byte[] out = new byte[bytes.length - (to - from) + with.length];
        System.arraycopy(bytes, 0, out, 0, from);
        System.arraycopy(with, 0, out, from, with.length);
        System.arraycopy(bytes, to, out, from + with.length, bytes.length - to);
        return out;
    }
}
