package org.respec.bindings.nvrtc;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the compiler says of one kernel.
 *
 * @param entry name of the kernel
 * @param registers per thread
 * @param stackBytes local memory per thread, of the kernel or the functions it calls
 * @param spillStoreBytes bytes stored because registers ran out, functions it calls included
 * @param spillLoadBytes bytes loaded back
 * @param staticSharedBytes shared memory per block, without the dynamic part
 */
public record CompileReport(String entry, int registers, int stackBytes, int spillStoreBytes, int spillLoadBytes, int staticSharedBytes) {
    private static final Pattern ENTRY = Pattern.compile("Compiling entry function '([^']+)'");
    private static final Pattern FRAME = Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
    private static final Pattern USED = Pattern.compile("Used (\\d+) registers");
    private static final Pattern SHARED = Pattern.compile("(\\d+) bytes smem");

    /** Reports of all kernels in a log made with {@code --ptxas-options=-v}, in its order. */
    public static List<CompileReport> parse(String log) {
        List<CompileReport> reports = new ArrayList<>();
        CompileReport now = null;
        for (String line : log.lines().toList()) {
            Matcher entry = ENTRY.matcher(line);
            if (entry.find()) {
                if (now != null) {
                    reports.add(now);
                }
                now = new CompileReport(entry.group(1), 0, 0, 0, 0, 0);
                continue;
            }
            if (now == null) {
                continue;
            }
            Matcher frame = FRAME.matcher(line);
            if (frame.find()) {
                now = new CompileReport(now.entry, now.registers, Math.max(now.stackBytes, number(frame, 1)),
                    now.spillStoreBytes + number(frame, 2), now.spillLoadBytes + number(frame, 3), now.staticSharedBytes);
            }
            Matcher used = USED.matcher(line);
            if (used.find()) {
                Matcher shared = SHARED.matcher(line);
                now = new CompileReport(now.entry, number(used, 1), now.stackBytes, now.spillStoreBytes, now.spillLoadBytes,
                    shared.find() ? number(shared, 1) : 0);
            }
        }
        if (now != null) {
            reports.add(now);
        }
        return reports;
    }

    private static int number(Matcher matcher, int group) {
        return Integer.parseInt(matcher.group(group));
    }

    /** Whether registers ran out. */
    public boolean spills() {
        return spillStoreBytes > 0 || spillLoadBytes > 0;
    }
}
