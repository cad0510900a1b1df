// What the kernels of tree attention share: which tokens a row sees, and how results of parts of a context are put together.
#pragma once
#include "types.cuh"
#include "warp.cuh"
#include "faults.cuh"
#include "accumulators.cuh"

// The visible tokens of a row, in logical order, are its columns. Softmax starts anew every CHUNK columns; the chunks of SPAN_CHUNKS
// chunks are folded from the left, and so are the spans. This order is all that a row's bits depend on.
constexpr int CHUNK = 512;
constexpr int SPAN_CHUNKS = 8;

struct TreeRows {
    const int* first_rows;
    const int* row_requests;
    const int* contexts;
    const u64* masks;
    const int* sequences;
    const int* committed;
    int requests;
    int table_rows;
    int capacity;   // places of a sequence that the page table has room for
    int columns;    // most columns of a row that this launch has blocks for
    int row_begin;  // rows of this launch
    int row_end;
};

struct RowView {
    int context;
    int length;
    u64 mask;
};

// What a row of a request sees; false, and nothing, where its numbers are out of range.
__device__ __forceinline__ bool look(const TreeRows& t, int row, int request, RowView& view) {
    int context = t.contexts[row];
    u64 mask = t.masks[row];
    int base = t.committed[request];
    int sequence = t.sequences[request];
    int length = context + __popcll(mask);
    bool fits = context >= 0 && context <= t.capacity && base >= 0 && base <= t.capacity && length > 0 && length <= t.columns
        && (mask == 0 || base + 64 - __clzll((i64) mask) <= t.capacity) && sequence >= 0 && sequence < t.table_rows
        && t.row_requests[row] == request;
    view.context = fits ? context : 0;
    view.length = fits ? length : 0;
    view.mask = fits ? mask : 0;
    return fits;
}

// Joins the state of a softmax with that of later columns: both are to be multiplied by their weight and added.
__device__ __forceinline__ void join(float& top, float& sum, float part_top, float part_sum, float scale, float& weight,
                                     float& part_weight) {
    float highest = fmaxf(top, part_top);
    weight = exp2_approx(__fmul_rn(__fadd_rn(top, -highest), scale));
    part_weight = exp2_approx(__fmul_rn(__fadd_rn(part_top, -highest), scale));
    sum = __fmaf_rn(sum, weight, __fmul_rn(part_sum, part_weight));
    top = highest;
}

__device__ __forceinline__ float joined(float x, float weight, float part, float part_weight) {
    return __fmaf_rn(x, weight, __fmul_rn(part, part_weight));
}
