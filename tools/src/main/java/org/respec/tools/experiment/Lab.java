package org.respec.tools.experiment;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.respec.engine.run.Devices;
import org.respec.engine.run.RunConfig;
import org.respec.kernels.Ops;

/**
 * Where an experiment is done.
 *
 * @param config the configuration that experiments start from
 * @param overrides {@code key=value} laid over it, after the experiment's own
 * @param output folder for results and for the folders of runs
 * @param device see {@link org.respec.kernels.Backends#open}
 * @param seeds how many seeds
 * @param quick whether to be done in a minute or two, with fewer and smaller runs
 * @param log takes a line on progress
 */
public record Lab(Path config, List<String> overrides, Path output, String device, int seeds, boolean quick, Consumer<String> log) {
    /** Refuses a configuration or a device that cannot be used before any work is done on it. */
    public void check() {
        config(List.of());
        deviceInWords();
    }

    /** The configuration with {@code own} overrides, the lab's device and the user's overrides. */
    RunConfig config(List<String> own) {
        List<String> all = new ArrayList<>(own);
        all.add("run.device=" + device);
        all.addAll(overrides);
        return RunConfig.read(config, all);
    }

    /** {@code ifQuick} or {@code otherwise}. */
    <T> T choose(T ifQuick, T otherwise) {
        return quick ? ifQuick : otherwise;
    }

    /** The device that experiments compute on, in words. */
    String deviceInWords() {
        try (Ops ops = Devices.open(device, 0)) {
            return ops.device();
        }
    }
}
