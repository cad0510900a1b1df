package org.respec.engine.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.respec.kernels.Backends;
import org.respec.kernels.DType;
import org.respec.kernels.KvLayout;
import org.respec.kernels.Ops;
import org.respec.kernels.SizingOps;

class PagedKvCacheTest {
    private static final int PAGE = 4;
    private static Ops ops;

    @BeforeAll
    static void open() {
        ops = Backends.open("cpu", 1);
    }

    @AfterAll
    static void close() {
        ops.close();
    }

    private static KvLayout layout(int pages) {
        return new KvLayout(DType.F32, 1, 1, 2, PAGE, pages);
    }

    /** A sequence as a list: what the cache must be indistinguishable from. */
    private static final class Model {
        private final int handle;
        private final List<Float> committed;
        private int reserved;

        Model(int handle, List<Float> committed) {
            this.handle = handle;
            this.committed = new ArrayList<>(committed);
        }
    }

    private static long at(PagedKvCache cache, int slot) {
        return cache.store().layout().keyOffset(0, slot, 0);
    }

    private static void write(PagedKvCache cache, int handle, int place, float marker) {
        cache.store().data().host().setAtIndex(ValueLayout.JAVA_FLOAT, at(cache, cache.slot(handle, place)), marker);
    }

    private static void check(PagedKvCache cache, Model model, String when) {
        assertEquals(model.committed.size(), cache.length(model.handle), when);
        MemorySegment data = cache.store().data().host();
        for (int place = 0; place < model.committed.size(); place++) {
            assertEquals(model.committed.get(place), data.getAtIndex(ValueLayout.JAVA_FLOAT, at(cache, cache.slot(model.handle, place))),
                when + ", place " + place);
        }
    }

    /** Every token has a marker of its own, so that any mix-up of pages, copies or slots shows as a wrong marker. */
    @Test
    void aMillionRandomOperationsAgreeWithLists() {
        long seed = 20261124;
        SplittableRandom random = new SplittableRandom(seed);
        int pages = 16;
        int maxSequences = 12;
        int maxTokens = 38;
        float marker = 0;
        long refused = 0;
        long forks = 0;
        try (PagedKvCache cache = new PagedKvCache(ops, layout(pages), maxSequences, maxTokens, "model test")) {
            List<Model> open = new ArrayList<>();
            List<Integer> closed = new ArrayList<>();
            for (int i = 0; i < 1_000_000; i++) {
                String when = "seed " + seed + ", operation " + i;
                int kind = random.nextInt(100);
                Model m = open.isEmpty() ? null : open.get(random.nextInt(open.size()));
                if (m == null || kind < 6) {
                    if (open.size() < maxSequences) {
                        open.add(new Model(cache.open(), List.of()));
                    } else {
                        assertThrows(IllegalStateException.class, cache::open, when);
                    }
                } else if (kind < 14) {
                    if (open.size() < maxSequences) {
                        open.add(new Model(cache.fork(m.handle), m.committed));
                        forks++;
                    }
                } else if (kind < 50) {
                    int tokens = random.nextInt(9);
                    if (m.committed.size() + tokens > (maxTokens + PAGE - 1) / PAGE * PAGE) {
                        assertThrows(IllegalArgumentException.class, () -> cache.reserve(m.handle, tokens), when);
                    } else {
                        int free = cache.freePages();
                        if (cache.reserve(m.handle, tokens)) {
                            m.reserved = Math.max(m.reserved, tokens);
                            for (int t = 0; t < tokens; t++) {
                                write(cache, m.handle, m.committed.size() + t, -1 - i);
                            }
                        } else {
                            refused++;
                            assertEquals(free, cache.freePages(), when + ": a refusal changes nothing");
                        }
                    }
                } else if (kind < 75) {
                    // Only what this sequence reserved since anyone last shared its pages may be written: reserve again, as the engine
                    // does.
                    int keep = m.reserved == 0 ? 0 : random.nextInt(m.reserved + 1);
                    if (cache.reserve(m.handle, keep)) {
                        for (int t = 0; t < keep; t++) {
                            write(cache, m.handle, m.committed.size(), ++marker);
                            m.committed.add(marker);
                        }
                        cache.commit(m.handle, keep);
                        m.reserved = 0;
                    }
                } else if (kind < 82) {
                    cache.rollback(m.handle);
                    m.reserved = 0;
                } else if (kind < 88) {
                    int length = random.nextInt(m.committed.size() + 1);
                    cache.truncate(m.handle, length);
                    m.committed.subList(length, m.committed.size()).clear();
                    m.reserved = 0;
                } else if (kind < 97 && (open.size() > 6 || random.nextInt(4) == 0)) {
                    cache.close(m.handle);
                    open.remove(m);
                    closed.add(m.handle);
                } else if (!closed.isEmpty()) {
                    int stale = closed.get(random.nextInt(closed.size()));
                    assertThrows(IllegalStateException.class, () -> cache.length(stale), when);
                    if (closed.size() > 50) {
                        closed.clear();
                    }
                }
                if (marker > 1 << 22) {
                    // Markers must stay exact as floats.
                    for (Model each : open) {
                        cache.close(each.handle);
                    }
                    open.clear();
                    marker = 0;
                }
                if (i % 20 == 0 && !open.isEmpty()) {
                    check(cache, open.get(random.nextInt(open.size())), when);
                }
                if (i % 5000 == 0) {
                    cache.verify();
                    for (Model each : open) {
                        check(cache, each, when);
                    }
                }
            }
            assertTrue(refused > 1000 && forks > 1000, "the test must reach scarcity (" + refused + ") and sharing (" + forks + ")");
            for (Model each : open) {
                check(cache, each, "at the end");
                cache.close(each.handle);
            }
            cache.verify();
            assertEquals(pages, cache.freePages(), "every page is free again");
        }
    }

    @Test
    void forksShareUntilTheyWrite() {
        try (PagedKvCache cache = new PagedKvCache(ops, layout(10), 4, 32, "fork test")) {
            int a = cache.open();
            assertTrue(cache.reserve(a, 6));
            for (int i = 0; i < 6; i++) {
                write(cache, a, i, i);
            }
            cache.commit(a, 6);
            assertEquals(8, cache.freePages());
            int b = cache.fork(a);
            assertEquals(8, cache.freePages(), "forking takes no page");
            assertTrue(cache.reserve(b, 1));
            assertEquals(7, cache.freePages(), "only the partial page is copied");
            assertEquals(cache.slot(a, 3), cache.slot(b, 3), "full pages stay shared");
            write(cache, b, 6, 66);
            cache.commit(b, 1);
            assertTrue(cache.reserve(a, 1));
            assertEquals(7, cache.freePages(), "the last owner of a page writes in place");
            write(cache, a, 6, 77);
            cache.commit(a, 1);
            assertEquals(66f, cache.store().data().host().getAtIndex(ValueLayout.JAVA_FLOAT, at(cache, cache.slot(b, 6))));
            assertEquals(5f, cache.store().data().host().getAtIndex(ValueLayout.JAVA_FLOAT, at(cache, cache.slot(b, 5))), "copied content");
            cache.close(a);
            cache.close(b);
            assertEquals(10, cache.freePages());
            assertThrows(IllegalStateException.class, () -> cache.close(a));
            assertThrows(IllegalStateException.class, () -> cache.reserve(b, 1));
        }
    }

    @Test
    void reservationIsAllOrNothing() {
        try (PagedKvCache cache = new PagedKvCache(ops, layout(3), 2, 32, "reserve test")) {
            int a = cache.open();
            assertFalse(cache.reserve(a, 13));
            assertEquals(3, cache.freePages());
            assertTrue(cache.reserve(a, 12));
            assertEquals(0, cache.freePages());
            cache.rollback(a);
            assertEquals(3, cache.freePages());
            assertThrows(IllegalArgumentException.class, () -> cache.commit(a, 1));
            assertThrows(IllegalArgumentException.class, () -> cache.slot(a, 0));
            assertThrows(IllegalArgumentException.class, () -> cache.reserve(a, -1));
            assertThrows(IllegalArgumentException.class, () -> cache.truncate(a, 1));
        }
    }

    /** A layer of 2^31 elements and more: 4.3 GB in bf16, measured and not taken. */
    @Test
    void aLayerMayHaveMoreElementsThanAnIntCounts() {
        int sequences = 2 * 256;
        int tokens = 2048;
        KvLayout layout = new KvLayout(DType.BF16, 1, 8, 128, 16, sequences * (tokens / 16 + 1));
        assertTrue(layout.layerElements() > Integer.MAX_VALUE, layout.layerElements() + " elements");
        SizingOps sizing = new SizingOps(ops);
        try (PagedKvCache cache = new PagedKvCache(sizing.ops(), layout, sequences, tokens, "large")) {
            assertEquals(2L * 2 * 8 * 128 * 16 * sequences * 129, sizing.bytes().get("large pages"));
            cache.release();
            assertEquals(0, sizing.bytes().get("large pages"));
            cache.acquire();
            assertEquals(layout.bytes(), sizing.bytes().get("large pages"));
        }
    }
}
