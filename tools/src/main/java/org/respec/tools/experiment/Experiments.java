package org.respec.tools.experiment;

import java.util.List;

/** Every experiment there is. */
public final class Experiments {
    private Experiments() {
    }

    /** In the order in which {@code all} runs them. */
    public static List<Experiment> all() {
        return List.of(new GapOne(), new GapTwo(), new GapThree(), new Coupling(), new Ablation(), new Load());
    }
}
