package org.respec.kernels.gpu;

import org.respec.bindings.gpu.GpuEvent;
import org.respec.bindings.gpu.GpuMemory;
import org.respec.bindings.gpu.GpuStream;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/**
 * AdamW with moments in page-locked host memory. They pass through two places on the device, piece by piece, in streams of their own for
 * either direction: one piece comes while the one before it is worked on and goes. An element's bits do not depend on where its piece ends.
 */
final class HostMoments implements AutoCloseable {
    /** Elements of a piece: 4 MiB of each moment, enough for a bus to be at full speed. */
    private static final int PIECE = 1 << 20;
    /** Of the device, by both places. */
    static final long BYTES = 2 * Place.bytes(PIECE);

    private final GpuContext gpu;
    private final AdamwKernel adamw;
    private final int piece;
    private final GpuStream coming;
    private final GpuStream going;
    private final GpuEvent begun;
    private final Place[] places;

    HostMoments(GpuContext gpu, AdamwKernel adamw) {
        this(gpu, adamw, PIECE);
    }

    /** @param piece elements of a piece */
    HostMoments(GpuContext gpu, AdamwKernel adamw, int piece) {
        this.gpu = gpu;
        this.adamw = adamw;
        this.piece = piece;
        places = new Place[] {new Place(gpu, piece), new Place(gpu, piece)};
        coming = gpu.driver().stream();
        going = gpu.driver().stream();
        begun = gpu.driver().event();
    }

    /** Room for a piece of both moments, and how far what is in it has come. */
    private static final class Place {
        final GpuMemory memory;
        final Tensor first;
        final Tensor second;
        final GpuEvent here;
        final GpuEvent done;
        final GpuEvent gone;

        /** Of both moments' pieces. */
        static long bytes(int piece) {
            return 2L * DType.F32.bytes() * piece;
        }

        Place(GpuContext gpu, int piece) {
            memory = gpu.allocate(bytes(piece));
            GpuStorage storage = new GpuStorage(memory, "AdamW", memory.bytes());
            first = new Tensor(DType.F32, 1, piece, piece, 0, storage);
            second = new Tensor(DType.F32, 1, piece, piece, piece, storage);
            here = gpu.driver().event();
            done = gpu.driver().event();
            gone = gpu.driver().event();
        }

        void close() {
            memory.close();
            here.close();
            done.close();
            gone.close();
        }
    }

    /** A step, as {@link AdamwKernel#launch}; the moments are on the host, whole, when the operators' stream has come to its end. */
    void launch(Tensor weights, Tensor copy, Tensor gradients, Tensor first, Tensor second, AdamwKernel.Step step) {
        int size = weights.cols();
        if (size == 0) {
            return;
        }
        gpu.stream().record(begun);
        coming.await(begun);
        int number = 0;
        for (int from = 0; from < size; from += piece, number++) {
            int count = Math.min(piece, size - from);
            Place place = places[number % 2];
            if (number >= 2) {
                coming.await(place.gone);
            }
            move(coming, true, first, from, place, place.first, count);
            move(coming, true, second, from, place, place.second, count);
            coming.record(place.here);
            gpu.stream().await(place.here);
            adamw.launch(part(weights, from, count), copy == null ? null : part(copy, from, count), part(gradients, from, count),
                place.first.columns(0, count), place.second.columns(0, count), step);
            gpu.stream().record(place.done);
            going.await(place.done);
            move(going, false, first, from, place, place.first, count);
            move(going, false, second, from, place, place.second, count);
            going.record(place.gone);
        }
        // What goes, goes in order: the last piece is the last.
        gpu.stream().await(places[(number - 1) % 2].gone);
    }

    private static Tensor part(Tensor tensor, int from, int count) {
        return tensor.columns(from, from + count);
    }

    private static void move(GpuStream stream, boolean in, Tensor host, int from, Place place, Tensor device, int count) {
        long at = 4 * (host.offset() + from);
        if (in) {
            stream.copyIn(host.storage().host(), at, place.memory, 4 * device.offset(), 4L * count);
        } else {
            stream.copyOut(place.memory, 4 * device.offset(), host.storage().host(), at, 4L * count);
        }
    }

    @Override
    public void close() {
        coming.close();
        going.close();
        begun.close();
        places[0].close();
        places[1].close();
    }
}
