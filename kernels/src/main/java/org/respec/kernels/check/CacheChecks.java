package org.respec.kernels.check;

import java.util.List;

final class CacheChecks {
    private CacheChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
