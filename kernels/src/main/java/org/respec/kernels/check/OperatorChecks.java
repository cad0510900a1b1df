package org.respec.kernels.check;

import java.util.ArrayList;
import java.util.List;

/** Every check there is, by the kind of operator. */
public final class OperatorChecks {
    private OperatorChecks() {
    }

    /** In the order in which they run. */
    public static List<OperatorCheck> all() {
        List<OperatorCheck> checks = new ArrayList<>();
        checks.addAll(ElementwiseChecks.all());
        checks.addAll(RopeChecks.all());
        checks.addAll(UpdateChecks.all());
        checks.addAll(LinearChecks.all());
        checks.addAll(CacheChecks.all());
        checks.addAll(TreeAttentionChecks.all());
        checks.addAll(ChainAttentionChecks.all());
        checks.addAll(SamplingChecks.all());
        checks.addAll(SpeculationChecks.all());
        checks.addAll(LossChecks.all());
        checks.addAll(PolicyLossChecks.all());
        return checks;
    }
}
