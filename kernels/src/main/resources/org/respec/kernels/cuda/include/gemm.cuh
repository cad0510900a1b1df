// What the row-invariant products gemm_rows.cu and gemm_tiles.cu share: their argument and the order of their sums.
//
// Inputs are cut into spans of 64, and span b belongs to slice b % 8. A slice's sum starts at 0 and takes its spans in ascending order,
// each in four steps of mma.m16n8k16 whose k index means the same inputs everywhere: in each half of the span, of 32 inputs, lane q of a
// group of four holds inputs 8 q to 8 q + 7, of which the half's first step takes the lower four and its second step the upper four. The
// eight slices' sums are added to 0 in order; slices without spans change nothing.
#pragma once
#include "accumulators.cuh"
#include "packs.cuh"

struct GemmArgs {
    const storage* x;
    const storage* w;
    void* y;
    i64 x_stride;
    i64 w_stride;
    i64 y_stride;
    int rows;
    int outputs;
    int inputs;
    int accumulate;
    int y_bf16;
    int aligned;
};

constexpr int SLICES = 8;
constexpr int SPAN = 64;

__device__ __forceinline__ void put(const GemmArgs& a, int row, int output, float sum) {
    i64 at = row * a.y_stride + output;
    if (a.y_bf16) {
        bf16* y = (bf16*) a.y + at;
        from_float(a.accumulate ? to_float(*y) + sum : sum, *y);
    } else {
        float* y = (float*) a.y + at;
        *y = a.accumulate ? *y + sum : sum;
    }
}

// How many of the eight inputs from k on there are in a row.
__device__ __forceinline__ int live_inputs(bool exists, int k, int inputs) {
    return exists && k < inputs ? (inputs - k < 8 ? inputs - k : 8) : 0;
}

// Both steps of one half of a span, for 16 O outputs by 8 R rows: `outputs(o)` is what the lane holds of the o-th eight outputs, and
// `rows(r)` of the r-th eight rows.
template <int O, int R, typename Outputs, typename Rows>
__device__ __forceinline__ void half_span(float (&d)[O][R][4], Outputs outputs, Rows rows) {
    uint4 held[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        held[r] = rows(r);
    }
#pragma unroll
    for (int o = 0; o < O; o++) {
        uint4 low = outputs(2 * o);
        uint4 high = outputs(2 * o + 1);
#pragma unroll
        for (int r = 0; r < R; r++) {
            mma_16816(d[o][r], {low.x, high.x, low.y, high.y}, held[r].x, held[r].y);
            mma_16816(d[o][r], {low.z, high.z, low.w, high.w}, held[r].z, held[r].w);
        }
    }
}
