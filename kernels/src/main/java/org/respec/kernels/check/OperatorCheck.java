package org.respec.kernels.check;

import java.util.function.Consumer;

/**
 * A comparison of one operator on a device with the CPU's, over the shapes that break kernels. The test suite runs all of them on
 * the emulator, {@code gpu-check} the same ones on a GPU.
 *
 * @param name operator and case, for instance {@code "rmsNorm bf16"}
 * @param body makes inputs, runs both sides and compares; throws {@link CheckFailure}
 */
public record OperatorCheck(String name, Consumer<CheckBench> body) {
}
