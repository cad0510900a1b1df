package org.respec.bindings.nvml;

import java.util.List;

/**
 * What NVML says of a device at one moment. What the device does not tell is NaN or -1, with a sentence in {@code missing}.
 *
 * @param busy share of the last sampling period (1/6 to 1 s) in which any kernel ran, 0 to 1; NaN if unknown
 * @param memoryBusy share of that period in which device memory was read or written; NaN if unknown
 * @param memoryBytes device memory; -1 if unknown
 * @param usedBytes part of it that is in use, by anyone; -1 if unknown
 * @param watts power drawn; NaN if unknown
 * @param celsius temperature of the chip; NaN if unknown
 * @param smMegahertz clock of the multiprocessors; NaN if unknown
 * @param memoryMegahertz clock of the memory; NaN if unknown
 * @param joules energy used since the driver was loaded; NaN if unknown
 * @param missing why something is unknown, one sentence each
 */
public record GpuStatus(double busy, double memoryBusy, long memoryBytes, long usedBytes, double watts, double celsius, double smMegahertz,
                        double memoryMegahertz, double joules, List<String> missing) {
    public GpuStatus {
        missing = List.copyOf(missing);
    }
}
