package org.respec.kernels.gpu;

import java.util.List;
import java.util.stream.Stream;

/** Every kernel in every specialisation that there is: what must compile for every architecture. */
public final class KernelCatalog {
    private KernelCatalog() {
    }

    /** One entry for each launch class, in the order of their names. */
    public static List<KernelSpec> all() {
        return Stream.of(RmsNormKernel.specs()).flatMap(List::stream).toList();
    }
}
