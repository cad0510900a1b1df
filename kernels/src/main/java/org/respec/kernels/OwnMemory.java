package org.respec.kernels;

/**
 * What operators take for themselves, besides what arenas give and what kernels need between their blocks.
 *
 * @param device bytes on the device, from the beginning
 * @param pinned bytes of page-locked host memory, from the beginning
 * @param hostMoments bytes on the device from the first {@link Ops#adamW} on whose moments are in page-locked host memory
 * @param graphs most bytes on the device that what {@link Ops#replay} has recorded may take
 */
public record OwnMemory(long device, long pinned, long hostMoments, long graphs) {
    /** Nothing that anybody counts. */
    public static final OwnMemory NONE = new OwnMemory(0, 0, 0, 0);
}
