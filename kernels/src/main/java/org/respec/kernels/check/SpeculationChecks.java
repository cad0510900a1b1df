package org.respec.kernels.check;

import java.util.List;

final class SpeculationChecks {
    private SpeculationChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
