package org.respec.bindings.gpu.jcuda;

import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstream;
import jcuda.jcublas.cublasHandle;

/** JCuda's objects with their raw handles, which it keeps from everyone but subclasses: the hot calls go past JCuda and need them. */
final class Handles {
    private Handles() {
    }

    static final class Context extends CUcontext {
        long raw() {
            return getNativePointer();
        }
    }

    static final class Stream extends CUstream {
        long raw() {
            return getNativePointer();
        }
    }

    static final class Event extends CUevent {
        long raw() {
            return getNativePointer();
        }
    }

    static final class Function extends CUfunction {
        long raw() {
            return getNativePointer();
        }
    }

    static final class GraphExec extends CUgraphExec {
        long raw() {
            return getNativePointer();
        }
    }

    static final class Memory extends CUdeviceptr {
        long raw() {
            return getNativePointer();
        }
    }

    /** Device memory that JCuda did not allocate through this object. */
    static final class Address extends Pointer {
        Address(long address) {
            super(address);
        }
    }

    static final class Cublas extends cublasHandle {
        long raw() {
            return getNativePointer();
        }
    }
}
