package org.respec.engine.model;

import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** The small random actor of {@link TestModels} with a drafter, on two threads of the CPU. */
public record SmallModel(Ops ops, ModelConfig config, Actor actor, Drafter drafter) implements AutoCloseable {
    /** @param seed of the actor's weights; the drafter's is the next */
    public static SmallModel open(long seed) {
        Ops ops = Backends.open("cpu", 2);
        ModelConfig config = TestModels.actorConfig(true);
        Actor actor = TestModels.actor(ops, config, seed);
        return new SmallModel(ops, config, actor, TestModels.drafter(ops, TestModels.drafterConfig(config), actor, seed + 1));
    }

    @Override
    public void close() {
        drafter.close();
        actor.close();
        ops.close();
    }
}
