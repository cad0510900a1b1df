package org.respec.tools.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DoctorCommandTest {
    private static String run(String... arguments) {
        PrintStream out = System.out;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
            assertEquals(0, Main.execute(arguments));
        } finally {
            System.setOut(out);
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Test
    void theTableAndTheJsonSayTheSame() throws IOException {
        JsonNode findings = new JsonMapper().readTree(run("doctor", "--json")).get("findings");
        List<String> subjects = new ArrayList<>();
        findings.forEach(finding -> subjects.add(finding.get("subject").asText()));
        assertTrue(subjects.containsAll(List.of("processor", "java", "openblas", "c++ compiler", "nvidia driver", "nvml", "nvrtc 12",
            "nvrtc 13",
            "cublas 12", "cublas 13", "cache of kernels", "cache of libraries")), subjects.toString());
        String table = run("doctor");
        for (JsonNode finding : findings) {
            assertTrue(List.of("ok", "absent", "refused").contains(finding.get("state").asText()), finding.toString());
            // What changes from moment to moment: the state of a device.
            if (!finding.get("subject").asText().equals("its state")) {
                assertTrue(table.contains(finding.get("found").asText()), table);
                assertTrue(table.contains(finding.get("fix").asText()), table);
            }
        }
    }
}
