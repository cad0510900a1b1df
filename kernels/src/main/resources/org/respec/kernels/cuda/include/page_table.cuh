// Where the tokens of a sequence lie in a paged cache: KvStore's page table.
#pragma once
#include "types.cuh"

struct PageTable {
    const int* pages;
    i64 stride;
    int sequences;
    int columns;
    int page_size;

    // Slot of a logical place, or -1 where the table has no page for it.
    __device__ __forceinline__ int slot(int sequence, int place) const {
        if (sequence < 0 || sequence >= sequences || place < 0 || place / page_size >= columns) {
            return -1;
        }
        int page = pages[sequence * stride + place / page_size];
        return page < 0 ? -1 : page * page_size + place % page_size;
    }
};
