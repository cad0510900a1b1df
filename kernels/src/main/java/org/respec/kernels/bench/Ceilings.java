package org.respec.kernels.bench;

/**
 * The fastest that a plain copy and a plain matrix product went in the same run: what other kernels are compared with.
 *
 * @param copyBytes read and written by the copy, together
 * @param copyBytesPerSecond of the median
 * @param gemmSize rows, columns and depth of the product, bf16 in and out
 * @param gemmFlopsPerSecond of the median
 * @param smallestSeconds what the events show of a kernel that writes one element: no time of any kernel is without it
 * @param launchNanos of the host for a kernel that does nothing, launched through the stream as it is: what an operator takes beside that
 *        is its own
 */
public record Ceilings(long copyBytes, double copyBytesPerSecond, int gemmSize, double gemmFlopsPerSecond, double smallestSeconds,
                       double launchNanos) {
}
