// What the kernels of chain attention share: which sequence a block works on, tiles of fused rows, pairs of neighbouring elements, and
// what a query sees.
#pragma once
#include "mma_train.cuh"

constexpr int CHAIN_STEPS = 9;
constexpr int PAD = 16 / sizeof(storage);
constexpr int LD = HEAD_DIM + PAD;

// A tile of rows of one sequence. Tiles begin at multiples of their size within the sequence, so that sums have the same shape wherever
// the sequence lies in the pack.
struct SpanTile {
    i64 start;
    int length;
    int first;
};

// Sequence i has the places starts[i] / T + i and on, enough for its tiles of T rows, and one block sees in a few steps which place is
// its own; rows / T + sequences places hold all. False for a place without rows.
template <int T> __device__ __forceinline__ bool find_tile(const int* starts, int sequences, int place, SpanTile& tile) {
    int low = 0;
    int high = sequences - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (starts[middle] / T + middle <= place) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    tile.start = starts[low];
    tile.length = starts[low + 1] - starts[low];
    tile.first = (place - starts[low] / T - low) * T;
    return tile.first < tile.length;
}

// Copies HEAD_DIM columns of T rows to shared memory; rows from `valid` on become zeros. Done after copies.wait and a barrier.
template <int T>
__device__ __forceinline__ void load_tile(Copies& copies, storage* tile, const storage* from, i64 stride, int valid, bool wide) {
    if (wide) {
        constexpr int N = 16 / sizeof(storage);
        constexpr int CHUNKS = HEAD_DIM / N;
        for (int i = threadIdx.x; i < T * CHUNKS; i += blockDim.x) {
            int row = i / CHUNKS;
            int col = i % CHUNKS * N;
            copies.copy16(tile + row * LD + col, from + (row < valid ? row : 0) * stride + col, row < valid);
        }
    } else {
        for (int i = threadIdx.x; i < T * HEAD_DIM; i += blockDim.x) {
            int row = i / HEAD_DIM;
            int col = i % HEAD_DIM;
            storage zero{};
            tile[row * LD + col] = row < valid ? from[row * stride + col] : zero;
        }
    }
}

struct alignas(2 * sizeof(storage)) Pair {
    storage at[2];
};

// Two neighbours; `wide` where their address is a multiple of their size.
__device__ __forceinline__ void load_pair(const storage* from, bool wide, float& x, float& y) {
    Pair pair;
    if (wide) {
        pair = *(const Pair*) from;
    } else {
        pair.at[0] = from[0];
        pair.at[1] = from[1];
    }
    x = to_float(pair.at[0]);
    y = to_float(pair.at[1]);
}

__device__ __forceinline__ void store_pair(storage* to, bool wide, float x, float y) {
    Pair pair;
    from_float(x, pair.at[0]);
    from_float(y, pair.at[1]);
    if (wide) {
        *(Pair*) to = pair;
    } else {
        to[0] = pair.at[0];
        to[1] = pair.at[1];
    }
}

__device__ __forceinline__ void add_pair(storage* to, bool wide, float x, float y) {
    float a;
    float b;
    load_pair(to, wide, a, b);
    store_pair(to, wide, a + x, b + y);
}

// Dot product of a row in shared memory with one in global memory, over the columns of this lane, then of its four lanes.
template <int UNROLL> __device__ __forceinline__ float dot_own(const storage* row, const storage* other, bool pairs) {
    int c = threadIdx.x % 4;
    float dot = 0.f;
#pragma unroll UNROLL
    for (int n = 0; n < HEAD_DIM / 8; n++) {
        float x;
        float y;
        load_pair(other + 8 * n + 2 * c, pairs, x, y);
        dot = fmaf(to_float(row[8 * n + 2 * c]), x, dot);
        dot = fmaf(to_float(row[8 * n + 2 * c + 1]), y, dot);
    }
    return row_sum(dot);
}

// Takes keys after a query out of the softmax: the rows of s are queries from first_row on, its columns keys from `at` on.
template <int MT, int NT> __device__ __forceinline__ void mask_later(float (&s)[MT][NT][4], int at, int first_row) {
    if (at + 8 * NT - 1 <= first_row) {
        return;
    }
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < NT; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (at + 8 * n + lane % 4 * 2 + e % 2 > first_row + 16 * m + lane / 4 + e / 2 * 8) {
                    s[m][n][e] = -INFINITY;
                }
            }
        }
    }
}
