package org.respec.tools.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Keys in which runs' configs differ.
 *
 * @param values by key, one for each run; a dash where a run does not have the key
 */
record ConfigDifferences(Map<String, List<String>> values) {
    /** Every run has its own. */
    private static final String FOLDER = "run.dir";

    /** Of the runs that kept their config; empty if those are fewer than two. */
    static ConfigDifferences of(List<RunRecord> runs) {
        List<Map<String, String>> flat = runs.stream().map(run -> flat(run.config())).toList();
        Set<String> keys = new LinkedHashSet<>();
        flat.forEach(config -> keys.addAll(config.keySet()));
        keys.remove(FOLDER);
        Map<String, List<String>> differences = new LinkedHashMap<>();
        for (String key : keys) {
            Set<String> distinct = new LinkedHashSet<>();
            List<String> row = new ArrayList<>();
            for (Map<String, String> config : flat) {
                String value = config.getOrDefault(key, Numbers.NONE);
                row.add(value);
                if (!config.isEmpty()) {
                    distinct.add(value);
                }
            }
            if (distinct.size() > 1) {
                differences.put(key, row);
            }
        }
        return new ConfigDifferences(differences);
    }

    /** A config's values by dotted key. */
    static Map<String, String> flat(JsonNode config) {
        Map<String, String> values = new LinkedHashMap<>();
        flatten("", config, values);
        return values;
    }

    private static void flatten(String prefix, JsonNode node, Map<String, String> values) {
        node.properties().forEach(field -> {
            JsonNode value = field.getValue();
            if (value.isObject()) {
                flatten(prefix + field.getKey() + ".", value, values);
            } else {
                values.put(prefix + field.getKey(), value.isNull() ? Numbers.NONE
                    : value.isValueNode() ? value.asText() : value.toString());
            }
        });
    }
}
