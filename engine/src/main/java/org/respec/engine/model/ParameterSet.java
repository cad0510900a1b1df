package org.respec.engine.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Named tensors of one type that lie one after another, in the order of their specs, in few large blocks (small models: in one), which
 * optimizers see as vectors. Used for weights, and with the same specs for their gradients and moments. The host sees elements as
 * floats whatever the type, and on a device with memory of its own through a window, so that large models need no second copy.
 */
public final class ParameterSet implements AutoCloseable {
    /** Elements of a block at most, but for a tensor that is larger: shapes are counted in ints, and models may have more. */
    private static final int MOST = 1 << 30;
    private static final int WINDOW = 1 << 22;

    private final Ops ops;
    private final TensorArena arena;
    private final DType dtype;
    private final int most;
    private final List<TensorSpec> specs;
    private final List<Tensor> blocks = new ArrayList<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final long size;
    /** Whether the host can read and write the elements where they are; where they are one block too, {@link #direct}. */
    private final boolean onHost;
    private final boolean direct;
    private ParameterSet copy;
    private HostMirror window;
    private Arena hostArena;
    private MemorySegment hostCopy;

    /** Zero-filled F32 parameters. */
    public ParameterSet(Ops ops, String name, List<TensorSpec> specs) {
        this(ops, name, specs, DType.F32);
    }

    /** Zero-filled parameters, F32 or, where the device stores it, BF16. */
    public ParameterSet(Ops ops, String name, List<TensorSpec> specs, DType dtype) {
        this(ops, name, specs, dtype, MOST);
    }

    /** Zero-filled F32 parameters in page-locked host memory, for an optimizer's moments; see {@link TensorArena#pinned}. */
    public static ParameterSet pinned(Ops ops, String name, List<TensorSpec> specs) {
        return new ParameterSet(ops, name, specs, DType.F32, MOST, true);
    }

    /** @param most elements of a block, but for larger tensors */
    ParameterSet(Ops ops, String name, List<TensorSpec> specs, DType dtype, int most) {
        this(ops, name, specs, dtype, most, false);
    }

    private ParameterSet(Ops ops, String name, List<TensorSpec> specs, DType dtype, int most, boolean pinned) {
        this.ops = ops;
        this.specs = List.copyOf(specs);
        this.dtype = dtype;
        this.most = most;
        this.arena = ops.arena(name);
        long total = 0;
        int at = 0;
        while (at < specs.size()) {
            int end = blockEnd(specs, at, most);
            long elements = TensorSpec.elements(specs.subList(at, end));
            int length = Math.toIntExact(elements);
            Tensor block = pinned ? arena.pinned(dtype, 1, length) : arena.allocate(dtype, 1, length);
            blocks.add(block);
            long offset = block.offset();
            for (TensorSpec spec : specs.subList(at, end)) {
                Tensor previous = tensors.put(spec.name(), new Tensor(dtype, spec.rows(), spec.cols(), spec.cols(), offset,
                    block.storage()));
                if (previous != null) {
                    throw new IllegalArgumentException("tensor " + spec.name() + " is named twice");
                }
                offset += spec.elements();
            }
            total += elements;
            at = end;
        }
        this.size = total;
        HostMirror probe = arena.mirror(DType.F32, 1, 1);
        this.onHost = dtype == DType.F32 && (pinned || probe.host() == probe.device());
        this.direct = onHost && blocks.size() == 1;
    }

    /** Index after the last tensor of the block that begins at {@code from}; tensors of one module, which may be stacked, stay together. */
    private static int blockEnd(List<TensorSpec> specs, int from, int most) {
        long elements = 0;
        int end = from;
        while (end < specs.size()) {
            int next = end;
            long more = 0;
            do {
                more += specs.get(next++).elements();
            } while (next < specs.size() && module(specs.get(next)).equals(module(specs.get(end))));
            if (end > from && elements + more > most) {
                break;
            }
            elements += more;
            end = next;
        }
        return end;
    }

    /** {@code model.layers.0.mlp} of {@code model.layers.0.mlp.up_proj.weight}. */
    private static String module(TensorSpec spec) {
        String name = spec.name();
        int last = name.lastIndexOf('.');
        int before = last < 0 ? -1 : name.lastIndexOf('.', last - 1);
        return before < 0 ? name : name.substring(0, before);
    }

    /** Names and sizes, in the order of the bytes. */
    public List<TensorSpec> specs() {
        return specs;
    }

    /** Type of every tensor. */
    public DType dtype() {
        return dtype;
    }

    /**
     * These parameters in another type, for passes to read: this set itself if it has that type, else a copy that is closed with it.
     * An optimizer writes the copy along; after any other change {@link #refreshCopy} does.
     */
    public ParameterSet inType(DType wanted, String name) {
        if (wanted == dtype) {
            return this;
        }
        if (copy != null) {
            throw new IllegalStateException(name + ": there is a copy in another type already");
        }
        copy = new ParameterSet(ops, name, specs, wanted, most);
        return copy;
    }

    /** The copy in another type, or null if there is none. */
    public ParameterSet copy() {
        return copy;
    }

    /** Brings the copy in another type, if there is one, up to date. */
    public void refreshCopy() {
        if (copy != null) {
            copy.copyFrom(this);
        }
    }

    /** All elements, in order, as vectors. */
    public List<Tensor> blocks() {
        return blocks;
    }

    /** Number of elements. */
    public long size() {
        return size;
    }

    /** The tensor of that name; {@link IllegalArgumentException} where there is none. */
    public Tensor get(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException("no tensor " + name);
        }
        return tensor;
    }

    /** Tensors that lie one after another, stacked by rows into one matrix: query, key and value projections, for instance. */
    public Tensor stacked(String... names) {
        Tensor first = get(names[0]);
        long end = first.offset();
        int rows = 0;
        for (String name : names) {
            Tensor tensor = get(name);
            if (tensor.storage() != first.storage() || tensor.offset() != end || tensor.cols() != first.cols()) {
                throw new IllegalArgumentException("tensor " + name + " does not follow the one before it");
            }
            rows += tensor.rows();
            end += tensor.size();
        }
        return new Tensor(dtype, rows, first.cols(), first.cols(), first.offset(), first.storage());
    }

    /** Sets all elements to {@code value}. */
    public void fill(float value) {
        blocks.forEach(block -> ops.fill(block, value));
    }

    /** Takes all elements of another set with the same specs, rounded to this one's type. */
    public void copyFrom(ParameterSet other) {
        if (!specs.equals(other.specs) || blocks.size() != other.blocks.size()) {
            throw new IllegalArgumentException("parameter sets of different shape");
        }
        for (int i = 0; i < blocks.size(); i++) {
            ops.convert(other.blocks.get(i), blocks.get(i), 1);
        }
    }

    // --------------------------------------------------------------------------------------------------------- the host

    /** The elements on the host as floats, up to date and to be read only; until the next call, {@link #upload} or {@link #close}. */
    public MemorySegment download() {
        if (direct) {
            ops.synchronize();
            return blocks.getFirst().host();
        }
        MemorySegment target = hostBytes();
        long[] at = {0};
        read(piece -> {
            MemorySegment.copy(piece, 0, target, at[0], piece.byteSize());
            at[0] += piece.byteSize();
        });
        return target;
    }

    /** Gives the elements as floats, in order, in pieces that are valid during the call alone. */
    public void read(Consumer<MemorySegment> sink) {
        if (onHost) {
            ops.synchronize();
            blocks.forEach(block -> sink.accept(block.host()));
            return;
        }
        window();
        for (Tensor block : blocks) {
            for (int from = 0; from < block.cols(); from += WINDOW) {
                int count = Math.min(WINDOW, block.cols() - from);
                ops.convert(block.columns(from, from + count), window.device().columns(0, count), 1);
                ops.pull(window, count);
                sink.accept(window.host().host().asSlice(0, 4L * count));
            }
        }
    }

    /** Host bytes, floats, to fill before {@link #upload}. */
    public MemorySegment hostBytes() {
        if (direct) {
            ops.synchronize();
            return blocks.getFirst().host();
        }
        if (hostCopy == null) {
            hostArena = Arena.ofShared();
            hostCopy = hostArena.allocate(4 * size, 64);
        }
        return hostCopy;
    }

    /** Sends {@link #hostBytes}, which end by that, to the device. */
    public void upload() {
        if (direct) {
            return;
        }
        long at = 0;
        for (Tensor block : blocks) {
            write(block, hostBytes().asSlice(at, 4L * block.cols()));
            at += 4L * block.cols();
        }
        dropCopy();
    }

    /** Sets one tensor from {@code floats}, which has its size. */
    public void write(String name, MemorySegment floats) {
        Tensor tensor = get(name);
        if (floats.byteSize() != 4 * tensor.size()) {
            throw new IllegalArgumentException("tensor " + name + " of " + tensor.size() + " elements from " + floats.byteSize()
                + " bytes");
        }
        write(tensor.reshape(1, Math.toIntExact(tensor.size())), floats);
    }

    private void write(Tensor vector, MemorySegment floats) {
        if (onHost) {
            ops.synchronize();
            vector.host().copyFrom(floats);
            return;
        }
        window();
        for (int from = 0; from < vector.cols(); from += WINDOW) {
            int count = Math.min(WINDOW, vector.cols() - from);
            MemorySegment.copy(floats, 4L * from, window.host().host(), 0, 4L * count);
            ops.push(window, count);
            ops.convert(window.device().columns(0, count), vector.columns(from, from + count), 1);
        }
    }

    private void window() {
        if (window == null) {
            window = arena.mirror(DType.F32, 1, (int) Math.min(WINDOW, Math.max(1, size)));
        }
    }

    private void dropCopy() {
        if (hostArena != null) {
            hostArena.close();
            hostArena = null;
            hostCopy = null;
        }
    }

    /** SHA-256 of all elements, in order, as little-endian floats. */
    public String sha256() {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            long chunk = 1 << 20;
            read(bytes -> {
                for (long at = 0; at < bytes.byteSize(); at += chunk) {
                    digest.update(bytes.asSlice(at, Math.min(chunk, bytes.byteSize() - at)).asByteBuffer());
                }
            });
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }

    @Override
    public void close() {
        dropCopy();
        arena.close();
        if (copy != null) {
            copy.close();
        }
    }
}
