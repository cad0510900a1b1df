package org.respec.engine.distill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Locale;

/**
 * Whether what drafts is worth its steps. A mean gain under 1.1 tokens a request and step, over so many speculating steps, is an
 * ailment: the rollout then draws plainly until {@link #stepDown} has chosen another source, down from the current drafter over the
 * one before and n-grams to none. Steps without speculation say nothing, so a policy that chooses off is no ailment. A later version
 * of the drafter is tried again; each trial that fails in a row doubles the versions that are passed over before the next.
 */
public final class DrafterHealth {
    /** What drafts, best first. */
    public enum Source { CURRENT, PREVIOUS, NGRAM, OFF }

    private static final double LEAST = 1.1;
    private static final int MOST_STRIKES = 7;

    private final int steps;
    private final boolean ngram;
    private Source source = Source.CURRENT;
    private boolean ailing;
    /** Whether this source has been through a window and gained enough. */
    private boolean proven;
    private int strikes;
    private int passOver;
    private int windowSteps;
    private long windowRequests;
    private long windowTokens;
    private double gain;

    /**
     * @param steps speculating steps that a judgement is based on
     * @param ngram whether there is a drafter without weights to fall back to
     */
    public DrafterHealth(int steps, boolean ngram) {
        this.steps = steps;
        this.ngram = ngram;
    }

    /** What the rollout drafts from. */
    public Source source() {
        return source;
    }

    /** Whether to draft now. */
    public boolean drafts() {
        return !ailing && source != Source.OFF;
    }

    /** Whether the source gains too little and {@link #stepDown} is due. */
    public boolean ailing() {
        return ailing;
    }

    /** A speculating step over {@code requests}, which gained {@code tokens} in all. */
    public void observe(int requests, int tokens) {
        if (!drafts()) {
            return;
        }
        windowRequests += requests;
        windowTokens += tokens;
        if (++windowSteps == steps) {
            gain = (double) windowTokens / windowRequests;
            ailing = gain < LEAST;
            proven = !ailing;
            if (proven && source == Source.CURRENT) {
                strikes = 0;
            }
            clearWindow();
        }
    }

    private void clearWindow() {
        windowSteps = 0;
        windowRequests = 0;
        windowTokens = 0;
    }

    /**
     * Takes the next source that there is and returns why, in words.
     *
     * @param current version of the drafter in use
     * @param previous version before it, or -1 if there is none
     */
    public String stepDown(long current, long previous) {
        String failed = switch (source) {
            case CURRENT -> "drafter version " + current;
            case PREVIOUS -> "drafter version " + previous;
            case NGRAM -> "drafting from n-grams";
            case OFF -> throw new IllegalStateException("there is nothing below off");
        };
        if (source == Source.CURRENT) {
            strikes = Math.min(strikes + 1, MOST_STRIKES);
            passOver = (1 << strikes - 1) - 1;
        }
        source = source == Source.CURRENT && previous >= 0 ? Source.PREVIOUS : source != Source.NGRAM && ngram ? Source.NGRAM : Source.OFF;
        String then = switch (source) {
            case PREVIOUS -> "version " + previous + " drafts again";
            case NGRAM -> "n-grams draft instead";
            default -> "nothing is drafted for now";
        };
        ailing = false;
        proven = false;
        clearWindow();
        return String.format(Locale.ROOT, "%s gained %.2f tokens a step over %d steps, under %.1f: %s.", failed, gain, steps, LEAST, then);
    }

    /** A new version has come: whether to draft from it, which then is the current source. */
    boolean admits() {
        if (source == Source.CURRENT) {
            return true;
        }
        if (passOver > 0) {
            passOver--;
            return false;
        }
        if (source != Source.OFF && !proven) {
            return false;
        }
        source = Source.CURRENT;
        ailing = false;
        proven = false;
        clearWindow();
        return true;
    }

    ObjectNode toJson() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("source", source.name());
        json.put("ailing", ailing);
        json.put("proven", proven);
        json.put("strikes", strikes);
        json.put("pass_over", passOver);
        json.put("window_steps", windowSteps);
        json.put("window_requests", windowRequests);
        json.put("window_tokens", windowTokens);
        json.put("gain", gain);
        return json;
    }

    void restore(JsonNode json) {
        source = Source.valueOf(json.required("source").textValue());
        ailing = json.required("ailing").booleanValue();
        proven = json.required("proven").booleanValue();
        strikes = json.required("strikes").intValue();
        passOver = json.required("pass_over").intValue();
        windowSteps = json.required("window_steps").intValue();
        windowRequests = json.required("window_requests").longValue();
        windowTokens = json.required("window_tokens").longValue();
        gain = json.required("gain").doubleValue();
    }
}
