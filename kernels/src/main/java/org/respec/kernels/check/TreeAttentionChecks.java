package org.respec.kernels.check;

import java.util.List;

final class TreeAttentionChecks {
    private TreeAttentionChecks() {
    }

    static List<OperatorCheck> all() {
        return List.of();
    }
}
