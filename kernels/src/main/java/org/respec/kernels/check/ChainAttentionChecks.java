package org.respec.kernels.check;

import java.util.List;

final class ChainAttentionChecks {
    private ChainAttentionChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
