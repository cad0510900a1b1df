package org.respec.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** A cache is a matrix of pages, and its layers follow each other without gaps. */
class KvStoreTest {
    private static final KvLayout LAYOUT = new KvLayout(DType.F32, 3, 2, 6, 5, 7);

    @Test
    void layersBeginWhereTheirFirstKeyLies() {
        try (Ops ops = Backends.open("cpu", 1); TensorArena arena = ops.arena("test")) {
            KvStore kv = KvStore.allocate(arena, LAYOUT, arena.mirror(DType.I32, 1, 7));
            assertEquals(3 * 7, kv.data().rows());
            assertEquals(2 * 2 * 5 * 6, kv.data().cols());
            assertEquals(LAYOUT.bytes(), 4 * kv.data().size());
            for (int layer = 0; layer < 3; layer++) {
                assertEquals(kv.data().address() + 4 * LAYOUT.keyOffset(layer, 0, 0), kv.layerAddress(layer));
                assertEquals(kv.data().rows(layer * 7, layer * 7 + 1).address(), kv.layerAddress(layer));
            }
        }
    }

    @Test
    void otherShapesTypesAndGapsAreRefused() {
        try (Ops ops = Backends.open("cpu", 1); TensorArena arena = ops.arena("test")) {
            HostMirror table = arena.mirror(DType.I32, 1, 7);
            Tensor wide = arena.allocate(DType.F32, 21, 128);
            for (Tensor data : new Tensor[] {wide, wide.columns(0, 120), arena.allocate(DType.F32, 3, 7 * 120),
                arena.allocate(DType.F32, 20, 120), arena.allocate(DType.I32, 21, 120)}) {
                assertThrows(IllegalArgumentException.class, () -> new KvStore(LAYOUT, data, table), data.toString());
            }
        }
    }

    @Test
    void layersAreAddressedPastWhatAnIntCounts() {
        KvLayout layout = new KvLayout(DType.BF16, 2, 8, 128, 16, 70_000);
        assertEquals(140_000, layout.rows());
        assertEquals(32_768, layout.cols());
        try (Ops ops = Backends.open("cpu", 1)) {
            Ops sizing = new SizingOps(ops).ops();
            TensorArena arena = sizing.arena("large");
            KvStore kv = KvStore.allocate(arena, layout, arena.mirror(DType.I32, 1, 1));
            assertEquals(layout.bytes(), arena.bytes() - 256);
            assertEquals(70_000L * 32_768 * 2, kv.layerAddress(1) - kv.layerAddress(0));
        }
        assertThrows(ArithmeticException.class, () -> new KvLayout(DType.BF16, 128, 1, 2, 1, 1 << 24));
        assertThrows(ArithmeticException.class, () -> new KvLayout(DType.BF16, 1, 1, 2, 256, 1 << 24));
        assertThrows(ArithmeticException.class, () -> new KvLayout(DType.BF16, 1, 1 << 15, 1 << 15, 1, 1));
    }
}
