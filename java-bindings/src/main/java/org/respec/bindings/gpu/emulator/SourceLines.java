package org.respec.bindings.gpu.emulator;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** File and line of places in compiled kernels, by {@code addr2line}, which comes with every compiler. */
final class SourceLines {
    private static final Pattern PLACE = Pattern.compile("@([0-9a-f]+)");
    private static final String CODE = "code ";

    private SourceLines() {
    }

    /** The text with every {@code @} and hexadecimal offset replaced by file and line; by the offset if those are not known. */
    static String resolve(Path library, String text) {
        List<String> offsets = new ArrayList<>();
        Matcher matcher = PLACE.matcher(text);
        while (matcher.find()) {
            offsets.add(matcher.group(1));
        }
        Map<String, String> lines = offsets.isEmpty() ? Map.of() : lines(library, offsets);
        return PLACE.matcher(text).replaceAll(m -> Matcher.quoteReplacement(lines.getOrDefault(m.group(1), CODE + m.group(1))));
    }

    private static Map<String, String> lines(Path library, List<String> offsets) {
        List<String> line = new ArrayList<>(List.of("addr2line", "-a", "-i", "-s", "-e", library.toString()));
        Map<String, String> byAddress = new LinkedHashMap<>();
        for (String offset : offsets) {
            // A return address: the call before it is what is meant.
            long address = Long.parseUnsignedLong(offset, 16) - 1;
            if (address > 0) {
                byAddress.put(String.format(Locale.ROOT, "0x%016x", address), offset);
            }
        }
        line.addAll(byAddress.keySet());
        Map<String, String> result = new LinkedHashMap<>();
        try {
            String offset = null;
            for (String each : HostCompiler.run(line, null).output().split("\n")) {
                if (each.startsWith("0x")) {
                    offset = byAddress.get(each.strip());
                } else if (offset != null && !each.startsWith("??") && !each.startsWith("cuda_shim.h")) {
                    String place = each.replaceAll(" \\(discriminator.*", "");
                    result.merge(offset, place, (inner, outer) -> inner + " in " + outer);
                }
            }
        } catch (IOException e) {
            return Map.of();
        }
        return result;
    }
}
