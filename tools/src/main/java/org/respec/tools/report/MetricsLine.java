package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import org.respec.engine.BadInput;

/**
 * One iteration's metrics.
 *
 * @param where file and line, for messages
 */
record MetricsLine(String where, JsonNode json) {
    int iteration() {
        return json.path("iteration").intValue();
    }

    /**
     * The number at a path of keys, or NaN where there is none.
     *
     * @throws BadInput if something else is there
     */
    double number(String... keys) {
        JsonNode node = json;
        for (String key : keys) {
            node = node.path(key);
        }
        return number(node, where, keys);
    }

    /** The section under a key; a missing node where there is none. */
    JsonNode section(String key) {
        JsonNode node = json.path(key);
        if (!node.isMissingNode() && !node.isNull() && !node.isObject()) {
            throw new BadInput(where + ": " + key + " must be an object, not " + node + "; was the file edited?");
        }
        return node;
    }

    /** Numbers that are not finite are written as words. */
    static double number(JsonNode node, String where, String... keys) {
        if (node.isNumber()) {
            return node.doubleValue();
        }
        boolean none = node.isMissingNode() || node.isNull();
        if (none || node.isTextual() && (node.textValue().equals("NaN") || node.textValue().endsWith("Infinity"))) {
            return Double.NaN;
        }
        throw new BadInput(where + ": " + String.join(".", keys) + " must be a number, not " + node + "; was the file edited?");
    }
}
