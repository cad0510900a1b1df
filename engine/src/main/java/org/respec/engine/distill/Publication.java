package org.respec.engine.distill;

import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;

/**
 * A drafter's weights as one learner update left them, on their way to the rollout.
 *
 * @param version updates that went into them
 * @param bytes all weights, on the host
 * @param checksum CRC-32C of the bytes when they were written
 */
record Publication(long version, MemorySegment bytes, long checksum) {
    private static final long CHUNK = 1 << 26;

    /** Seals what {@code bytes} holds now. */
    static Publication of(long version, MemorySegment bytes) {
        return new Publication(version, bytes, checksum(bytes));
    }

    /** Whether the bytes are still those that were sealed. */
    boolean intact() {
        return checksum(bytes) == checksum;
    }

    private static long checksum(MemorySegment bytes) {
        CRC32C crc = new CRC32C();
        for (long at = 0; at < bytes.byteSize(); at += CHUNK) {
            crc.update(bytes.asSlice(at, Math.min(CHUNK, bytes.byteSize() - at)).asByteBuffer());
        }
        return crc.getValue();
    }
}
