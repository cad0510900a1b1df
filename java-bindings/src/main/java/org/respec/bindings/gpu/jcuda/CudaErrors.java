package org.respec.bindings.gpu.jcuda;

import jcuda.CudaException;
import jcuda.driver.CUresult;

/** The driver's error codes: names, meaning, and which of them leave a dead context. */
final class CudaErrors {
    static final int OUT_OF_MEMORY = 2;
    static final int NO_DEVICE = 100;
    static final int NOT_READY = 600;
    private static final int UNKNOWN = 999;

    private CudaErrors() {
    }

    /** JCuda's exceptions carry the name alone. */
    static int code(CudaException e) {
        for (int code = 1; code < UNKNOWN; code++) {
            if (CUresult.stringFor(code).equals(e.getMessage())) {
                return code;
            }
        }
        return UNKNOWN;
    }

    /** Name, number and meaning, as part of a sentence. */
    static String describe(int code) {
        String name = switch (code) {
            case 36 -> "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER";
            case 226 -> "CUDA_ERROR_CONTAINED";
            case 721 -> "CUDA_ERROR_TENSOR_MEMORY_LEAK";
            default -> CUresult.stringFor(code);
        };
        String meaning = meaning(code);
        return name + " (" + code + ")" + (meaning.isEmpty() ? "" : ", " + meaning);
    }

    private static String meaning(int code) {
        return switch (code) {
            case 34 -> "the library is a toolkit's stub and no driver: take the stubs folder off the library path";
            case 46 -> "the device is in use by another process in exclusive mode, or not to be had";
            case NO_DEVICE -> "the driver finds no device: see nvidia-smi and CUDA_VISIBLE_DEVICES, and run a container with --gpus all";
            case 200, 209, 300 -> "the kernel was compiled for another architecture, or damaged";
            case 214 -> "the device's memory has an error that it could not correct: the machine needs service";
            case 221, 222, 223 -> "the kernel asks for a newer driver: install one";
            case 700 -> "a kernel read or wrote outside its memory";
            case 701 -> "too many registers, threads or too much shared memory for one block";
            case 702 -> "a kernel ran longer than the system's watchdog allows";
            case 710 -> "an assertion in a kernel failed";
            case 714 -> "a kernel overran its stack";
            case 715 -> "a kernel hit an illegal instruction";
            case 716 -> "a kernel read or wrote at an address that is not aligned";
            case 717, 718 -> "a kernel jumped or pointed into the wrong address space";
            case 719 -> "a kernel failed";
            case 802 -> "the machine is not ready (is nvidia-fabricmanager running?)";
            case 803 -> "the driver's library and kernel module are of different versions: restart the machine after an update";
            case 804 -> "the CUDA compatibility package does not support this device: take it off the library path";
            case 900 -> "a captured stream may not do this";
            case 901 -> "an earlier error ended the capture";
            default -> "";
        };
    }

    /** Whether opening a device with this error means that an earlier error of this process has killed its context. */
    static boolean isEarlier(int code) {
        // Drivers that are set up badly answer with the unknown error too.
        return killsContext(code) && code != UNKNOWN;
    }

    /** Errors after which every call in the context fails. */
    static boolean killsContext(int code) {
        return switch (code) {
            case 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, UNKNOWN -> true;
            default -> false;
        };
    }
}
