package org.respec.engine.speculation;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.respec.engine.BadInput;
import org.respec.engine.StrictJson;
import org.respec.kernels.TreeBatch;

/**
 * Reads a profile: what plans cost, in JSON, in one of two forms.
 *
 * <pre>{@code
 * {"cells": [{"batch": 1, "plan": "off", "tokens_per_second": 90.5}, {"batch": 1, "plan": "4x2x8", "tokens_per_second": 170}, ...]}
 *
 * {"cost_ms": [{"batch": 1, "plan": "off", "verify": 11.0}, {"batch": 1, "plan": "4x2x8", "draft": 2.0, "verify": 12.5}, ...],
 *  "accept_per_depth": [0.8, 0.7, 0.6]}
 * }</pre>
 *
 * <ul>
 * <li>{@code plan}: {@code off} or {@code DEPTHxBRANCHxTOKENS}. A profile must have off, which speculation is judged against; each plan
 *     may have batches of its own.</li>
 * <li>{@code draft} and {@code verify}: milliseconds of a step's two halves for the whole batch; off has no draft, or 0.</li>
 * <li>{@code accept_per_depth}: entry d, counted from 1, is the chance that the token of depth d is accepted, given that the one of depth
 *     d - 1 was; deeper levels are as the last entry. An entry may be a list instead, by rank: the chances that the actor's token is the
 *     drafter's first, second, ... choice; a plan's gain then grows with its branch and tokens, and else with its depth alone. Beside
 *     {@code cells} it says at which acceptance they were measured, and may be left out.</li>
 * <li>{@code extend_ms_per_token}: what it takes to extend the drafter over a token that it missed while speculation was off, which is
 *     the price of turning it on; 0 if it is not given.</li>
 * <li>{@code note}: text for whoever reads the file.</li>
 * </ul>
 */
public final class ProfileFile {
    /** Largest batch that a profile or a question may name. */
    public static final int MAX_BATCH = 1_000_000;
    private static final long MAX_BYTES = 16 << 20;
    private static final int MAX_CELLS = 100_000;
    private static final double LEAST = 1e-9;
    private static final double MOST = 1e12;
    /** Characters of a fault in a plan that a message repeats. */
    private static final int QUOTED = 200;

    private ProfileFile() {
    }

    /**
     * Reads a profile.
     *
     * @throws BadInput naming file, field and reason
     */
    public static PlanTable read(Path file) {
        return read(StrictJson.read(file, MAX_BYTES, "a profile"));
    }

    /** Reads a profile from bytes; {@code source} is what messages name. */
    static PlanTable parse(String source, byte[] bytes) {
        return read(StrictJson.parse(source, bytes));
    }

    private static PlanTable read(StrictJson root) {
        root.knows("cells", "cost_ms", "accept_per_depth", "extend_ms_per_token", "note").finish();
        if (root.has("cells") == root.has("cost_ms")) {
            throw root.bad("cells", root.has("cells") ? "and cost_ms are both there, but a profile has one form; remove one of them"
                : "is missing, and so is cost_ms; add one of them");
        }
        if (root.has("note")) {
            root.text("note");
        }
        double extendSeconds = root.has("extend_ms_per_token") ? 1e-3 * root.number("extend_ms_per_token", 0, MOST) : 0;
        if (root.has("cells")) {
            return new SpeedTable(speeds(root), root.has("accept_per_depth") ? acceptance(root) : null, extendSeconds);
        }
        return new CostTable(costs(root), acceptance(root), extendSeconds);
    }

    /** Chances under {@code accept_per_depth}. */
    public static AcceptanceTable acceptance(StrictJson object) {
        String field = "accept_per_depth";
        double[][] rows = object.rows(field, TreeBatch.MAX_DEPTH, TreeBatch.MAX_BRANCH, 0, 1);
        int excess = AcceptanceTable.firstExcess(rows);
        if (excess >= 0) {
            throw object.bad(field + "[" + excess + "]", "has chances that add up to more than 1; lower them");
        }
        return new AcceptanceTable(rows);
    }

    private static Map<SpeculationPlan, TreeMap<Integer, Double>> speeds(StrictJson root) {
        Map<SpeculationPlan, TreeMap<Integer, Double>> speeds = new LinkedHashMap<>();
        for (StrictJson cell : root.objects("cells", MAX_CELLS)) {
            cell.knows("batch", "plan", "tokens_per_second").finish();
            int batch = cell.integer("batch", 1, MAX_BATCH);
            SpeculationPlan plan = plan(cell);
            put(cell, speeds.computeIfAbsent(plan, p -> new TreeMap<>()), batch, plan, cell.number("tokens_per_second", LEAST, MOST));
        }
        requireOff(root, "cells", speeds);
        return speeds;
    }

    private static Map<SpeculationPlan, CostTable.Halves> costs(StrictJson root) {
        Map<SpeculationPlan, TreeMap<Integer, Double>> drafts = new HashMap<>();
        Map<SpeculationPlan, TreeMap<Integer, Double>> verifies = new LinkedHashMap<>();
        for (StrictJson cell : root.objects("cost_ms", MAX_CELLS)) {
            cell.knows("batch", "plan", "draft", "verify").finish();
            int batch = cell.integer("batch", 1, MAX_BATCH);
            SpeculationPlan plan = plan(cell);
            put(cell, verifies.computeIfAbsent(plan, p -> new TreeMap<>()), batch, plan, cell.number("verify", LEAST, MOST));
            double draft = plan.isOff() && !cell.has("draft") ? 0 : cell.number("draft", 0, MOST);
            if (plan.isOff() && draft != 0) {
                throw cell.bad("draft", "is " + draft + ", but off drafts nothing; remove it");
            }
            drafts.computeIfAbsent(plan, p -> new TreeMap<>()).put(batch, draft);
        }
        requireOff(root, "cost_ms", verifies);
        Map<SpeculationPlan, CostTable.Halves> costs = new LinkedHashMap<>();
        verifies.forEach((plan, verify) -> costs.put(plan, new CostTable.Halves(new BatchCurve(drafts.get(plan)), new BatchCurve(verify))));
        return costs;
    }

    private static SpeculationPlan plan(StrictJson cell) {
        String text = cell.text("plan");
        try {
            return SpeculationPlan.parse(text);
        } catch (BadInput e) {
            String fault = e.getMessage().replaceAll("\\p{Cntrl}", "?").replaceAll("\\.$", "");
            throw cell.bad("plan", "is wrong: " + (fault.length() <= QUOTED ? fault : fault.substring(0, QUOTED) + "..."));
        }
    }

    private static void put(StrictJson cell, Map<Integer, Double> points, int batch, SpeculationPlan plan, double value) {
        if (points.put(batch, value) != null) {
            throw cell.bad("plan", "is " + plan + " at batch " + batch + " again; keep one cell of each plan and batch");
        }
    }

    private static void requireOff(StrictJson root, String field, Map<SpeculationPlan, ?> plans) {
        if (!plans.containsKey(SpeculationPlan.OFF)) {
            throw root.bad(field, "has no plan off, which speculation is judged against; add it for at least one batch");
        }
    }
}
