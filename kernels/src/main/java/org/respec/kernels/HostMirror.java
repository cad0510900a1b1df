package org.respec.kernels;

/**
 * A matrix that the host fills or reads and a device computes with. On the CPU both tensors are the same one, and
 * {@link Ops#push} and {@link Ops#pull} do nothing.
 *
 * @param host always host memory
 * @param device where the operators read and write
 */
public record HostMirror(Tensor host, Tensor device) {
    public HostMirror {
        if (host.dtype() != device.dtype() || host.rows() != device.rows() || host.cols() != device.cols()) {
            throw new IllegalArgumentException("mirror of " + host + " and " + device);
        }
    }
}
