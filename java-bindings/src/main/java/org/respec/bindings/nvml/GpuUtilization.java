package org.respec.bindings.nvml;

/**
 * How busy a device was between two readings.
 *
 * @param smActivity share of multiprocessors that were busy, 0 to 1, averaged over time; NaN if unknown
 * @param smOccupancy warps that were there, as a share of those that fit, 0 to 1; NaN if unknown
 * @param dramActivity memory bandwidth used, as a share of what there is, 0 to 1; NaN if unknown
 * @param source where the numbers come from and what they mean
 */
public record GpuUtilization(double smActivity, double smOccupancy, double dramActivity, String source) {
}
