package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.respec.bindings.gpu.GpuException;
import org.respec.bindings.gpu.emulator.EmulatorDriver;
import org.respec.bindings.gpu.emulator.EmulatorOptions;
import org.respec.kernels.check.CheckResult;
import org.respec.kernels.check.CheckRunner;
import org.respec.kernels.check.OperatorCheck;
import org.respec.kernels.check.OperatorChecks;
import org.respec.kernels.cpu.CpuOps;

/**
 * Every operator check there is, on the emulator against the CPU. {@link #main} runs those whose name begins with its argument,
 * without Maven: quicker while a kernel is written.
 */
class EmulatedChecksTest {
    @TestFactory
    Stream<DynamicTest> everyOperator() {
        String missing = missing();
        if (missing != null) {
            return Stream.of(DynamicTest.dynamicTest("emulator", () -> assumeTrue(false, missing)));
        }
        return OperatorChecks.all().stream().map(check -> DynamicTest.dynamicTest(check.name(), () -> System.out.println(run(check,
            EmulatorOptions.defaults()))));
    }

    /** Why the emulator cannot run on this machine, or null; what else goes wrong must fail. */
    private static String missing() {
        try {
            EmulatorDriver.open(EmulatorOptions.defaults()).close();
            return null;
        } catch (GpuException e) {
            if (e.getMessage().contains("needs a C++ compiler") || e.getMessage().contains("runs on Linux on x86-64 only")) {
                return e.getMessage();
            }
            throw e;
        }
    }

    /** Runs a check on a device of its own, since a failed kernel ends its device; returns one line about it. */
    private static String run(OperatorCheck check, EmulatorOptions options) {
        try (CpuOps truth = new CpuOps(2); GpuOps device = new GpuOps(EmulatorDriver.open(options))) {
            // As on a GPU: what gives products to cuBLAS is among what is checked.
            device.useFastProducts(true);
            CheckResult result = new CheckRunner(truth, device, CheckRunner.SEED).run(check);
            if (!result.passed()) {
                System.out.println(check.name() + " failed with seed " + CheckRunner.SEED);
                throw result.failure();
            }
            return String.format(Locale.ROOT, "%-40s %5.1f %% of the tolerance, %.2f s", check.name(), 100 * result.shareOfTolerance(),
                result.seconds());
        }
    }

    /**
     * {@code java -cp ... org.respec.kernels.gpu.EmulatedChecksTest [--unchecked] [PREFIX]}: runs the checks whose names begin with
     * PREFIX; ends with status 1 if one fails.
     */
    public static void main(String[] arguments) {
        EmulatorOptions options = EmulatorOptions.defaults();
        String prefix = "";
        for (String argument : arguments) {
            if (argument.equals("--unchecked")) {
                options = options.withChecked(false);
            } else {
                prefix = argument;
            }
        }
        int failed = 0;
        for (OperatorCheck check : OperatorChecks.all()) {
            if (check.name().startsWith(prefix)) {
                try {
                    System.out.println(run(check, options));
                } catch (RuntimeException e) {
                    failed++;
                                        e.printStackTrace(System.out);
                }
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }
}
