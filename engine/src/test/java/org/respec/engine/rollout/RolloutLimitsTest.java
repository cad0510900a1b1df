package org.respec.engine.rollout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.respec.engine.BadInput;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;

/** Caches past what slots and rows number are refused in a sentence; what a device could hold is not. */
class RolloutLimitsTest {
    private static final AttentionShape SHAPE = new AttentionShape(32, 8, 128);

    private static void refused(Executable sizes) {
        String message = assertThrows(BadInput.class, sizes).getMessage();
        assertTrue(message.startsWith("rollout limits: a cache of ") && message.contains("lower rollout.max_batch"), message);
    }

    @Test
    void pagesAreCountedOrRefused() {
        RolloutLimits limits = new RolloutLimits(4096, 1, 1 << 18, 1, 0, 0);
        assertEquals(4096 * ((1 << 18) + 64 + 4), limits.pages());
        refused(limits::draftPages);
        refused(new RolloutLimits(4096, 1 << 18, 1 << 18, 1, 0, 0)::pages);
    }

    @Test
    void tokensAndPagesOfAllLayersAreNumberedOrRefused() {
        RolloutLimits limits = new RolloutLimits(1, 1, 1, 16, 1 << 24, 0);
        assertEquals(100L * (1 << 24) * 16 * 2 * 8 * 128 * 2, limits.layout(DType.BF16, 100, SHAPE, limits.pages()).bytes());
        refused(() -> limits.layout(DType.BF16, 128, SHAPE, limits.pages()));
        refused(() -> new RolloutLimits(1, 1, 1, 256, 1 << 24, 0).layout(DType.BF16, 1, SHAPE, 1 << 24));
    }
}
