package org.respec.kernels.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.respec.bindings.gpu.GpuDevice;
import org.respec.bindings.gpu.GpuDriver;
import org.respec.bindings.nativelib.CudaLibraries;
import org.respec.bindings.nativelib.LibraryPlaces;
import org.respec.bindings.nvrtc.CompileReport;
import org.respec.bindings.nvrtc.CubinCache;
import org.respec.bindings.nvrtc.JnvrtcCompiler;
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

    /** Shared memory and registers of blocks with bf16 heads of 128 on Hopper leave room for as many as the plan counts on. */
    @ParameterizedTest
    @EnumSource(Shape.class)
    void asManyBlocksFitAsThePlanCountsOn(Shape shape) {
        KernelSpec spec = TreeAttentionKernel.specs().stream().filter(one -> one.defines().get("HEAD_DIM").equals("128")
            && one.defines().get("TENSOR").equals("1") && one.defines().get("WARPS").equals(String.valueOf(shape.warps()))
            && one.defines().get("TEAMS").equals(String.valueOf(shape.teams()))).findFirst().orElseThrow();
        CubinCache cubins = new CubinCache(Path.of("target", "cubins").toAbsolutePath());
        String log = cubins.get(KernelSources.of(spec), "sm_90a",
            JnvrtcCompiler.open(new CudaLibraries(LibraryPlaces.classPathOnly()))).log();
        CompileReport report = CompileReport.parse(log).getFirst();
        // Shared memory is given in steps of 128 bytes, with 1024 of the system's for each block; registers in steps of 8 a thread.
        int shared = report.staticSharedBytes() + TreeAttentionKernel.sharedBytes(128, TreeAttentionKernel.Products.TENSOR, shape,
            shape.folds() ? TreeAttentionKernel.SPAN_CHUNKS : 1);
        assertEquals(shape.resident(), Math.min(228 * 1024 / ((shared + 127) / 128 * 128 + 1024),
            65536 / ((report.registers() + 7) / 8 * 8 * shape.threads())), shared + " bytes, " + report);
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
