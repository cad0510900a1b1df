package org.respec.kernels.gpu;

import java.util.List;
import java.util.stream.Stream;

/** Every kernel in every specialisation that there is: what must compile for every architecture. */
public final class KernelCatalog {
    private KernelCatalog() {
    }

    /** One entry for each launch class, in the order of their names. */
    public static List<KernelSpec> all() {
        return Stream.of(
            AdamwKernel.specs(),
            AddKernel.specs(),
            ChainAttentionBackwardKernel.specs(),
            ChainAttentionKernel.specs(),
            ColumnSumsKernel.specs(),
            ConvertKernel.specs(),
            CopyRowsKernel.specs(),
            DraftBudgetsKernel.specs(),
            DraftExpandKernel.specs(),
            DraftSelectKernel.specs(),
            EmbeddingBackwardKernel.specs(),
            EmbeddingKernel.specs(),
            FillKernel.specs(),
            GemmRowsKernel.specs(),
            GemmTilesKernel.specs(),
            KlDistillKernel.specs(),
            KvAppendKernel.specs(),
            KvMoveKernel.specs(),
            LogProbsBackwardKernel.specs(),
            NoiseFieldKernel.specs(),
            PolicyLossKernel.specs(),
            QkNormRopeAppendKernel.specs(),
            QkNormRopeBackwardKernel.specs(),
            QkNormRopeKernel.specs(),
            RmsNormBackwardKernel.specs(),
            RmsNormKernel.specs(),
            SampleFilteredKernel.specs(),
            SampleKernel.specs(),
            SquaredNormKernel.specs(),
            SwigluKernel.specs(),
            TopLogProbsKernel.specs(),
            TreeAttentionKernel.specs(),
            TreeAttentionMergeKernel.specs(),
            VerifyTreesKernel.specs())
            .flatMap(List::stream).toList();
    }
}
