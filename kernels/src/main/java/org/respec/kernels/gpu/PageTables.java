package org.respec.kernels.gpu;

import org.respec.kernels.KvStore;
import org.respec.kernels.Tensor;

/** Writes {@code PageTable} of {@code page_table.cuh}. */
final class PageTables {
    private PageTables() {
    }

    /** 32 bytes, if what follows is aligned to 8. */
    static Arguments write(Arguments arguments, KvStore kv) {
        Tensor table = kv.pageTable().device();
        return arguments.address(table).integer64(table.rowStride()).integer(table.rows()).integer(table.cols())
            .integer(kv.layout().pageSize());
    }
}
