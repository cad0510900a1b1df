package org.respec.tools;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

/** Adds up the test reports of all modules: how many tests ran, how many were skipped, and why. Run at the end of {@code mvn verify}. */
public final class SuiteSummary {
    private SuiteSummary() {
    }

    /** Takes the project's root folder. */
    public static void main(String[] arguments) throws IOException, ParserConfigurationException, SAXException {
        int ran = 0;
        int skipped = 0;
        double seconds = 0;
        Map<String, Integer> reasons = new TreeMap<>();
        for (String module : List.of("java-bindings", "kernels", "engine", "tools")) {
            Path reports = Path.of(arguments[0], module, "target", "surefire-reports");
            if (!Files.isDirectory(reports)) {
                continue;
            }
            try (Stream<Path> files = Files.list(reports)) {
                for (Path file : files.filter(p -> p.getFileName().toString().matches("TEST-.*\\.xml")).toList()) {
                    Element suite = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile()).getDocumentElement();
                    int left = Integer.parseInt(suite.getAttribute("skipped"));
                    ran += Integer.parseInt(suite.getAttribute("tests")) - left;
                    skipped += left;
                    seconds += Double.parseDouble(suite.getAttribute("time").replace(",", ""));
                    NodeList why = suite.getElementsByTagName("skipped");
                    for (int i = 0; i < why.getLength(); i++) {
                        reasons.merge(((Element) why.item(i)).getAttribute("message"), 1, Integer::sum);
                    }
                }
            }
        }
        System.out.printf(Locale.ROOT, "Suite: %d tests ran, %d were skipped, %.0f s.%n", ran, skipped, seconds);
        reasons.forEach((reason, count) -> System.out.printf(Locale.ROOT, "  %d skipped: %s%n", count, reason));
    }
}
