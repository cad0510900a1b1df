package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.KvLayout;
import org.respec.kernels.KvStore;
import org.respec.kernels.Tensor;

/** Launches {@code kv_move.cu}, for slots and for pages. */
final class KvMoveKernel {
    private static final KernelSpec UNIT_16 = KernelSpec.of("kv_move.cu", "kv_move").with("UNIT", 16);
    private static final KernelSpec UNIT_4 = UNIT_16.with("UNIT", 4);
    private static final KernelSpec UNIT_2 = UNIT_16.with("UNIT", 2);
    private static final int THREADS = 128;

    private final GpuContext gpu;
    private final Arguments arguments;
    private final LoadedKernel by16;
    private final LoadedKernel by4;
    private final LoadedKernel by2;

    KvMoveKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(88);
        this.by16 = new LoadedKernel(gpu, UNIT_16);
        this.by4 = new LoadedKernel(gpu, UNIT_4);
        this.by2 = new LoadedKernel(gpu, UNIT_2);
    }

    static List<KernelSpec> specs() {
        return List.of(UNIT_16, UNIT_4, UNIT_2);
    }

    /** Moves the keys and values of slots. */
    void launchSlots(KvStore kv, Tensor from, Tensor to, int count) {
        KvLayout l = kv.layout();
        int unit = unit(kv);
        int run = l.headDim() * l.dtype().bytes() / unit;
        launch(kv, from, to, count, unit, l.pages() * l.pageSize(), l.pageSize(), run, run, l.headElements() * l.dtype().bytes() / unit,
            2 * l.kvHeads() * run);
    }

    /** Copies pages. */
    void launchPages(KvStore kv, Tensor from, Tensor to, int count) {
        KvLayout l = kv.layout();
        int unit = unit(kv);
        int page = Math.toIntExact(l.pageElements() * l.dtype().bytes() / unit);
        launch(kv, from, to, count, unit, l.pages(), 1, 0, page, 0, page);
    }

    private static int unit(KvStore kv) {
        return CopyRowsKernel.unit(kv.data().address() | (long) kv.layout().headDim() * kv.layout().dtype().bytes());
    }

    private void launch(KvStore kv, Tensor from, Tensor to, int count, int unit, int places, int placesPerPage, int placeUnits, int run,
                        long runStride, int columns) {
        if (count == 0) {
            return;
        }
        KvLayout l = kv.layout();
        int size = l.dtype().bytes();
        int tiles = Math.ceilDiv(columns, THREADS);
        gpu.stream().launch((unit == 16 ? by16 : unit == 4 ? by4 : by2).get(), Tiling.blocks(l.layers(), tiles), 1, 1, THREADS, 1, 0,
            arguments.begin().address(kv.data()).address(from).address(to).address(gpu.faults().address())
                .integer64(l.layerElements() * size / unit).integer64(l.pageElements() * size / unit).integer64(placeUnits)
                .integer64(runStride).integer(count).integer(places).integer(placesPerPage).integer(run).integer(columns).integer(tiles)
                .end());
    }
}
