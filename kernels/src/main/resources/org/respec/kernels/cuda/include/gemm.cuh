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

// Up to 16 bytes at a time, to which p is aligned.
template <int V> __device__ __forceinline__ void read_shared(const float* p, float (&v)[V]) {
    constexpr int M = run_length<float, V>;
#pragma unroll
    for (int i = 0; i < V; i += M) {
        run<float, M> r = *(const run<float, M>*) (p + i);
#pragma unroll
        for (int j = 0; j < M; j++) {
            v[i + j] = r.at[j];
        }
    }
}

// A thread's part of y: TURNS runs of V outputs in a row each. What y held is fetched at once, long before it is added to; a read for
// every write would make them wait for one another.
template <int V, int TURNS> struct Results {
    i64 at[TURNS];
    int live[TURNS];
    u32 old[TURNS][V];

    // Run t begins at `output` of `row`; it may lie past either's end.
    __device__ __forceinline__ void place(const GemmArgs& a, int t, int row, int output) {
        at[t] = row * a.y_stride + output;
        live[t] = row < a.rows ? a.outputs - output : 0;
    }

    __device__ __forceinline__ void fetch(const GemmArgs& a) {
        if (a.accumulate && a.y_bf16) {
            fetch_as<bf16>(a);
        } else if (a.accumulate) {
            fetch_as<float>(a);
        }
    }

    __device__ __forceinline__ void put(const GemmArgs& a, int t, float (&sum)[V]) const {
        if (a.y_bf16) {
            put_as<bf16>(a, t, sum);
        } else {
            put_as<float>(a, t, sum);
        }
    }

private:
    template <typename Y> __device__ __forceinline__ void fetch_as(const GemmArgs& a) {
        const Y* from[TURNS];
#pragma unroll
        for (int t = 0; t < TURNS; t++) {
            from[t] = (const Y*) a.y + at[t];
        }
        raw_runs<V, TURNS, Y> raw = fetch_runs<V>(from, live);
#pragma unroll
        for (int t = 0; t < TURNS; t++) {
#pragma unroll
            for (int i = 0; i < V / raw.PER_WORD; i++) {
                old[t][i] = raw.words[t][i];
            }
        }
    }

    template <typename Y> __device__ __forceinline__ void put_as(const GemmArgs& a, int t, float (&sum)[V]) const {
        if (a.accumulate) {
            raw_runs<V, 1, Y> raw;
#pragma unroll
            for (int i = 0; i < V / raw.PER_WORD; i++) {
                raw.words[0][i] = old[t][i];
            }
            float before[V];
            raw.unpack(0, before);
#pragma unroll
            for (int i = 0; i < V; i++) {
                sum[i] = before[i] + sum[i];
            }
        }
        store_run<V>((Y*) a.y + at[t], live[t], sum);
    }
};

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
