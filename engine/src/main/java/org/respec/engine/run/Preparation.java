package org.respec.engine.run;

import org.respec.engine.model.DrafterConfig;
import org.respec.engine.model.ModelConfig;
import org.respec.kernels.Ops;

/** What is done once a run knows its device and models, before it times or computes anything: kernels are compiled, for instance. */
@FunctionalInterface
public interface Preparation {
    /** Nothing. */
    Preparation NONE = (ops, actor, drafter) -> { };

    /** @param drafter null for none */
    void before(Ops ops, ModelConfig actor, DrafterConfig drafter);
}
