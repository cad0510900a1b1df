package org.respec.kernels.gpu;

import java.util.ArrayList;
import java.util.List;
import org.respec.bindings.gpu.GpuGraph;

/**
 * Device memory that the graphs of one set of operators take, and how much they may. CUDA does not tell what a graph takes: it is what free
 * memory falls by while one is recorded and started for the first time. Where a new one would not fit, those used longest ago are let go,
 * but for those in use: where the graphs of one step do not fit together, some of its work runs without, and none take turns.
 *
 * <p>Public reports have some 64 KiB for each kernel of a graph, which by arithmetic is 20 MiB for a pass of 36 layers, and 8 GiB for 400
 * of them; this was not measured here.
 */
final class GraphMemory {
    /** By that arithmetic nearly as many passes as {@link GraphReplay#MOST_GRAPHS}: with fewer, those of a drain would take turns. */
    private static final long MOST = 8L << 30;
    /** Part of the memory that is free at the beginning. */
    private static final int SHARE = 16;
    /** Pieces of work since a graph's last use within which it counts as in use: a step has some three. */
    private static final int IN_USE = 64;

    private final GpuContext gpu;
    private final long budget;
    private final List<Held> graphs = new ArrayList<>();
    private long taken;
    private long clock;
    /** Of the graphs whose memory could be measured. */
    private long measuredBytes;
    private long measuredKernels;
    /** Of the largest of them. */
    private long mostKernels;
    /** Whether graphs were let go, whose memory the driver may have kept for new ones: free memory does not show what those take then. */
    private boolean anyLetGo;
    private long freeBefore;
    private long changesBefore;

    /** With a sixteenth of the memory that is free now, up to 8 GiB. */
    GraphMemory(GpuContext gpu) {
        this(gpu, Math.min(MOST, gpu.driver().freeBytes() / SHARE));
    }

    /** @param budget most bytes that graphs may take */
    GraphMemory(GpuContext gpu, long budget) {
        this.gpu = gpu;
        this.budget = budget;
    }

    /** A graph that was recorded, and what it takes; let go when others need its memory. */
    static final class Held {
        private final GpuGraph graph;
        private final long bytes;
        private long used;
        private boolean alive = true;

        private Held(GpuGraph graph, long bytes) {
            this.graph = graph;
            this.bytes = bytes;
        }

        boolean isAlive() {
            return alive;
        }
    }

    long budget() {
        return budget;
    }

    /** Bytes that graphs take as far as is known. */
    long taken() {
        return taken;
    }

    /**
     * Bytes that a graph of so many kernels is likely to take, or one as large as the largest that was measured, if that is less: a first
     * small one may have taken what all graphs share. 0 while nothing was measured.
     */
    long expected(long kernels) {
        return measuredKernels == 0 ? 0 : Math.ceilDiv(Math.multiplyExact(measuredBytes, Math.min(kernels, mostKernels)), measuredKernels);
    }

    /** Whether a graph of so many kernels would be over the budget alone, as far as graphs of no fewer tell. */
    boolean isTooLarge(long kernels) {
        return kernels <= mostKernels && expected(kernels) > budget;
    }

    /** Before each piece of work, with a graph or without. Returns how many there were. */
    long tick() {
        return ++clock;
    }

    /**
     * Before a graph is recorded: lets others go until there is room for it.
     *
     * @return whether there is
     */
    boolean begin(long kernels) {
        if (!shrink(Math.max(0, budget - expected(kernels)), clock - IN_USE)) {
            return false;
        }
        changesBefore = gpu.share().changes();
        freeBefore = gpu.driver().freeBytes();
        return true;
    }

    /**
     * After a graph was recorded and started for the first time: measures it, and lets others go if it is larger than was expected.
     *
     * @return the graph, or null if it is over the budget alone; then it was let go when it had run
     */
    Held add(GpuGraph graph, long kernels) {
        long fell = freeBefore - gpu.driver().freeBytes();
        long expected = expected(kernels);
        long bytes;
        if (fell >= 0 && gpu.share().changes() == changesBefore) {
            bytes = anyLetGo ? Math.max(fell, expected) : fell;
            measuredBytes += bytes;
            measuredKernels += kernels;
            mostKernels = Math.max(mostKernels, kernels);
        } else {
            // Another thread took or freed memory meanwhile.
            bytes = measuredKernels > 0 ? expected : Math.max(0, fell);
        }
        Held held = new Held(graph, bytes);
        held.used = clock;
        graphs.add(held);
        taken += bytes;
        shrink(budget, clock);
        return held.alive ? held : null;
    }

    /** Starts a graph once more. */
    void launch(Held held) {
        held.used = clock;
        held.graph.launch(gpu.stream());
    }

    /** Lets go of a graph that does not run any more; nothing if that was done before. */
    void letGo(Held held) {
        if (held.alive) {
            held.alive = false;
            held.graph.close();
            graphs.remove(held);
            taken -= held.bytes;
            anyLetGo = true;
        }
    }

    /** Lets go of graphs last used at {@code until} or before, oldest first, until the rest takes no more than {@code most}, if it may. */
    private boolean shrink(long most, long until) {
        boolean waited = false;
        while (taken > most) {
            Held oldest = graphs.getFirst();
            for (Held held : graphs) {
                oldest = held.used < oldest.used ? held : oldest;
            }
            if (oldest.used > until) {
                return false;
            }
            if (!waited) {
                // It may still be running.
                gpu.stream().synchronize();
                waited = true;
            }
            letGo(oldest);
        }
        return true;
    }
}
