package org.respec.tools.experiment;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.model.LoadedModel;
import org.respec.engine.run.Devices;
import org.respec.engine.run.RunConfig;
import org.respec.kernels.Ops;
import org.respec.tools.check.KernelCompilation;

/**
 * Where an experiment is done.
 *
 * @param config the configuration that experiments start from
 * @param overrides {@code key=value} laid over it, after the experiment's own
 * @param output folder for results and for the folders of runs
 * @param device laid over the configuration's; see {@link org.respec.kernels.Backends#open}
 * @param seeds how many seeds
 * @param quick whether to be done in a minute or two, with fewer and smaller runs
 * @param log takes a line on progress
 */
public record Lab(Path config, List<String> overrides, Path output, String device, int seeds, boolean quick, Consumer<String> log) {
    /** Refuses a configuration, a device or a type that cannot be used before any work is done on it. */
    public void check() {
        RunConfig.Run run = config(List.of()).run();
        try (Ops ops = Devices.open(run)) {
            Devices.dtype(run, ops);
        }
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

    /**
     * Actor and drafter of a configuration, in the type that a training run computes in; what they need to draw is compiled.
     *
     * @param ops opened for that configuration
     * @throws BadInput also if it names no drafter
     */
    static LoadedModel load(Ops ops, RunConfig config) {
        if (config.model().drafter() == null) {
            throw new BadInput("model.drafter: it is missing, and this experiment is about drafting; name its folder.");
        }
        LoadedModel model = LoadedModel.load(ops, config.model().actor(), config.model().drafter(), Devices.dtype(config.run(), ops), true);
        KernelCompilation.before(ops, model, System.out);
        return model;
    }

    /** The device that experiments compute on, in words, and the type that they compute in. */
    String deviceInWords() {
        RunConfig.Run run = config(List.of()).run();
        try (Ops ops = Devices.open(run)) {
            return ops.device() + ", " + Devices.dtype(run, ops).name().toLowerCase(Locale.ROOT);
        }
    }
}
