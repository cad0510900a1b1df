package org.respec.bindings.nvml;

/** NVML's return codes in words. */
final class NvmlErrors {
    static final int FUNCTION_NOT_FOUND = 13;

    private NvmlErrors() {
    }

    static String describe(int code) {
        return switch (code) {
            case 1 -> "NVML is not initialised (1)";
            case 2 -> "NVML calls an argument invalid (2)";
            case 3 -> "this device does not support it (3)";
            case 4 -> "this user may not do it (4): run as root, or have the administrator allow profiling for all users";
            case 6 -> "NVML knows no such device (6)";
            case 9 -> "the NVIDIA kernel module is not loaded (9)";
            case 12 -> "NVML is not there (12)";
            case FUNCTION_NOT_FOUND -> "the driver is too old for it (13)";
            case 15 -> "the device fell off the bus (15): the machine needs a restart";
            case 18 -> "the driver's library and kernel module are of different versions (18): restart the machine after an update";
            default -> "NVML error " + code;
        };
    }
}
