package org.respec.kernels.check;

import java.util.List;

final class UpdateChecks {
    private UpdateChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
