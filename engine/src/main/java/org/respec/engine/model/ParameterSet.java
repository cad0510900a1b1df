package org.respec.engine.model;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.respec.kernels.DType;
import org.respec.kernels.HostMirror;
import org.respec.kernels.Ops;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Named F32 tensors that lie one after another in one flat block, in the order of their specs, so that optimizers, checkpoints and
 * checksums see a single vector. Used for weights, and with the same specs for their gradients and moments.
 */
public final class ParameterSet implements AutoCloseable {
    private final Ops ops;
    private final TensorArena arena;
    private final HostMirror flat;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final List<TensorSpec> specs;

    /** Zero-filled parameters. */
    public ParameterSet(Ops ops, String name, List<TensorSpec> specs) {
        this.ops = ops;
        this.specs = List.copyOf(specs);
        long size = 0;
        for (TensorSpec spec : specs) {
            size = Math.addExact(size, Math.multiplyExact((long) spec.rows(), spec.cols()));
        }
        this.arena = ops.arena(name);
        this.flat = arena.mirror(DType.F32, 1, Math.toIntExact(size));
        long offset = 0;
        for (TensorSpec spec : specs) {
            Tensor device = flat.device();
            Tensor previous = tensors.put(spec.name(),
                new Tensor(DType.F32, spec.rows(), spec.cols(), spec.cols(), device.offset() + offset, device.storage()));
            if (previous != null) {
                throw new IllegalArgumentException("tensor " + spec.name() + " is named twice");
            }
            offset += (long) spec.rows() * spec.cols();
        }
    }

    public List<TensorSpec> specs() {
        return specs;
    }

    /** All elements as one vector. */
    public Tensor flat() {
        return flat.device();
    }

    /** Number of elements. */
    public long size() {
        return flat.device().size();
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
            if (tensor.offset() != end || tensor.cols() != first.cols()) {
                throw new IllegalArgumentException("tensor " + name + " does not follow the one before it");
            }
            rows += tensor.rows();
            end += tensor.size();
        }
        return new Tensor(DType.F32, rows, first.cols(), first.cols(), first.offset(), first.storage());
    }

    /** The elements on the host, up to date; write through {@link #upload}. */
    public MemorySegment download() {
        ops.pull(flat, size());
        return flat.host().host();
    }

    /** Host bytes to fill before {@link #upload}. */
    public MemorySegment hostBytes() {
        return flat.host().host();
    }

    /** Sends {@link #hostBytes} to the device. */
    public void upload() {
        ops.push(flat, size());
    }

    /** Copies all elements of another set with the same specs. */
    public void copyFrom(ParameterSet other) {
        if (!specs.equals(other.specs)) {
            throw new IllegalArgumentException("parameter sets of different shape");
        }
        ops.copy(other.flat(), flat(), 1);
    }

    /** SHA-256 of all elements, in order, as little-endian floats. */
    public String sha256() {
        return sha256(download());
    }

    static String sha256(MemorySegment bytes) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            long chunk = 1 << 20;
            for (long at = 0; at < bytes.byteSize(); at += chunk) {
                ByteBuffer view = bytes.asSlice(at, Math.min(chunk, bytes.byteSize() - at)).asByteBuffer();
                digest.update(view);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
