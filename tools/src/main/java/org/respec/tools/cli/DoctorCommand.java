package org.respec.tools.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.respec.bindings.doctor.Doctor;
import org.respec.bindings.doctor.Finding;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(name = "doctor", description = "Says what this machine has for respec, what is missing, and how to mend it.",
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
    @Option(names = "--json", description = "Prints JSON.")
    private boolean json;

    @Override
    public Integer call() throws JsonProcessingException {
        List<Finding> findings = Doctor.ofThisMachine().examine();
        if (json) {
            printJson(findings);
        } else {
            printTable(findings);
        }
        return 0;
    }

    private static void printTable(List<Finding> findings) {
        int subjects = findings.stream().mapToInt(finding -> finding.subject().length()).max().orElse(0);
        String line = "%-" + subjects + "s  %-7s  %s%n";
        for (Finding finding : findings) {
            System.out.printf(Locale.ROOT, line, finding.subject(), word(finding), finding.found());
            if (!finding.fix().isEmpty()) {
                System.out.printf(Locale.ROOT, line, "", "", "-> " + finding.fix());
            }
        }
    }

    private static void printJson(List<Finding> findings) throws JsonProcessingException {
        JsonMapper mapper = new JsonMapper();
        ObjectNode root = mapper.createObjectNode();
        ArrayNode list = root.putArray("findings");
        for (Finding finding : findings) {
            list.addObject().put("subject", finding.subject().strip()).put("state", word(finding)).put("found", finding.found())
                .put("fix", finding.fix());
        }
        System.out.println(mapper.writerWithDefaultPrettyPrinter().writeValueAsString(root));
    }

    private static String word(Finding finding) {
        return finding.state().name().toLowerCase(Locale.ROOT);
    }
}
