package org.respec.kernels.check;

import java.util.List;

final class RopeChecks {
    private RopeChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
