package org.respec.kernels.check;

import java.util.List;

final class SamplingChecks {
    private SamplingChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
