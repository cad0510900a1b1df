package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.kernels.AttentionShape;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.gpu.TreeAttentionPlan.Shape;

/** Which plan a batch gets on a device like an H200: 132 multiprocessors of 227 KB. */
class TreeAttentionKernelTest {
    private static final GpuDevice DEVICE = new GpuDevice("132 multiprocessors", "sm_90a", "", 132, 227 * 1024, 50L << 20, 1L << 37, 0);

    @ParameterizedTest(name = "{0} requests of {1} rows over {2} tokens")
    @CsvSource({
        "1, 1, 32768, NARROW, 1, 80",
        "64, 4, 4096, NARROW, 1, 10",
        // 8 whole spans of 8 heads would be 64 blocks, a chunk to a block gives each multiprocessor several.
        "1, 32, 32768, SPREAD, 1, 80",
        "4, 32, 32768, WIDE, 8, 10",
        "8, 32, 4096, SPREAD, 1, 10",
        "16, 32, 4096, WIDE, 8, 2",
        "16, 17, 4096, WIDE, 8, 2",
        // 64 rows a request leave no work for half of a block of 128.
        "16, 16, 4096, SPREAD, 1, 10",
        "64, 16, 4096, SPREAD, 8, 2",
        "64, 8, 100, SPREAD, 1, 1",
        "1, 512, 512, WIDE, 8, 1",
    })
    void plans(int requests, int rows, int context, Shape shape, int spanChunks, int spans) {
        try (GpuDriver driver = DelayingDriver.late(new CopyingDriver(DEVICE)); GpuContext gpu = new GpuContext(driver)) {
            int columns = TreeAttentionKernel.columnsBucket(context + 64);
            assertEquals(new TreeAttentionPlan(shape, spanChunks, spans), new TreeAttentionKernel(gpu).plan(DType.BF16,
                new AttentionShape(32, 8, 128), new KvLayout(DType.BF16, 1, 8, 128, 16, 1), requests, requests * rows, columns));
        }
    }

    /** A bucket counts for as many spans as the shortest context in it fills. */
    @Test
    void spansAreThoseOfTheShortestInABucket() {
        int shortest = 0;
        for (int chunks = 1; chunks < 3000; chunks++) {
            int bucket = TreeAttentionKernel.columnsBucket(chunks * TreeAttentionKernel.CHUNK) / TreeAttentionKernel.CHUNK;
            if (chunks == 1 || bucket != TreeAttentionKernel.columnsBucket((chunks - 1) * TreeAttentionKernel.CHUNK)
                / TreeAttentionKernel.CHUNK) {
                shortest = chunks;
            }
            assertTrue(bucket >= chunks);
            assertEquals((shortest - 1) / TreeAttentionKernel.SPAN_CHUNKS, TreeAttentionKernel.filledSpans(bucket));
        }
    }
}
