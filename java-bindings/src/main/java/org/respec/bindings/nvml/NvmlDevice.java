package org.respec.bindings.nvml;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** One device as NVML sees it. */
public final class NvmlDevice {
    private static final int TEMPERATURE_GPU = 0;
    private static final int CLOCK_SM = 1;
    private static final int CLOCK_MEMORY = 2;
    private static final int GPM_SUPPORT_VERSION = 1;

    private final Nvml nvml;
    private final MemorySegment handle;

    NvmlDevice(Nvml nvml, MemorySegment handle) {
        this.nvml = nvml;
        this.handle = handle;
    }

    Nvml nvml() {
        return nvml;
    }

    MemorySegment handle() {
        return handle;
    }

    /** What the device is doing now. */
    public GpuStatus status() {
        List<String> missing = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(24, 8);
            // struct { unsigned int gpu, memory; }: percentages.
            boolean rates = ask(missing, "utilisation", nvml.call("nvmlDeviceGetUtilizationRates", handle, value));
            double busy = rates ? value.get(JAVA_INT, 0) / 100.0 : Double.NaN;
            double memoryBusy = rates ? value.get(JAVA_INT, 4) / 100.0 : Double.NaN;
            // nvmlMemory_t: unsigned long long total, free, used.
            boolean memory = ask(missing, "memory", nvml.call("nvmlDeviceGetMemoryInfo", handle, value));
            long total = memory ? value.get(JAVA_LONG, 0) : -1;
            long used = memory ? value.get(JAVA_LONG, 16) : -1;
            double watts = ask(missing, "power", nvml.call("nvmlDeviceGetPowerUsage", handle, value)) ? value.get(JAVA_INT, 0) / 1e3
                : Double.NaN;
            double celsius = ask(missing, "temperature", nvml.call("nvmlDeviceGetTemperature", handle, TEMPERATURE_GPU, value))
                ? value.get(JAVA_INT, 0) : Double.NaN;
            double sm = ask(missing, "SM clock", nvml.call("nvmlDeviceGetClockInfo", handle, CLOCK_SM, value)) ? value.get(JAVA_INT, 0)
                : Double.NaN;
            double dram = ask(missing, "memory clock", nvml.call("nvmlDeviceGetClockInfo", handle, CLOCK_MEMORY, value))
                ? value.get(JAVA_INT, 0) : Double.NaN;
            double joules = ask(missing, "energy", nvml.call("nvmlDeviceGetTotalEnergyConsumption", handle, value))
                ? value.get(JAVA_LONG, 0) / 1e3 : Double.NaN;
            return new GpuStatus(busy, memoryBusy, total, used, watts, celsius, sm, dram, joules, missing);
        }
    }

    private static boolean ask(List<String> missing, String what, int code) {
        if (code != 0) {
            missing.add("no " + what + ": " + NvmlErrors.describe(code));
        }
        return code == 0;
    }

    /** Empty if the device has performance monitoring (GPM, Hopper and newer); else why not. */
    public String gpmRefusal() {
        try (Arena arena = Arena.ofConfined()) {
            // nvmlGpmSupport_t: unsigned int version, isSupportedDevice.
            MemorySegment support = arena.allocate(JAVA_INT, 2);
            support.set(JAVA_INT, 0, GPM_SUPPORT_VERSION);
            int code = nvml.call("nvmlGpmQueryDeviceSupport", handle, support);
            if (code != 0) {
                return "no GPM: " + NvmlErrors.describe(code);
            }
            return support.get(JAVA_INT, 4) != 0 ? "" : "no GPM: the device is older than Hopper";
        }
    }

    /** A meter that tells how busy the device was since it was last read. */
    public UtilizationMeter meter() {
        return new UtilizationMeter(this);
    }
}
