package org.respec.engine.rollout;

import java.lang.foreign.MemorySegment;

/**
 * What verification computed along one trajectory. The last token of a trajectory is never fed back, so there is one row for every
 * token but that one.
 *
 * <p>The rows themselves are null where whoever is taught would not hold them by the end: {@link RolloutLimits#captureRows}.
 *
 * @param rows rows of features: positions 0 to {@code rows - 1}
 * @param firstTaught first position with teacher data; there is teacher data up to {@code rows - 1}
 * @param features F32 [rows x featureWidth]
 * @param teacherIds I32 [rows - firstTaught x topK]
 * @param teacherLogProbs F32 [rows - firstTaught x topK]
 * @param teacherTails F32 [rows - firstTaught]
 */
public record CapturedRows(int rows, int firstTaught, MemorySegment features, MemorySegment teacherIds,
                           MemorySegment teacherLogProbs, MemorySegment teacherTails) {
    static CapturedRows dropped(int rows, int firstTaught) {
        return new CapturedRows(rows, firstTaught, null, null, null, null);
    }

    /** Whether the rows themselves are here. */
    public boolean kept() {
        return features != null;
    }
}
