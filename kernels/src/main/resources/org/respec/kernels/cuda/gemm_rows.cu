// y = x w^T, or y += x w^T, for decoding: every output is summed in an order that depends on the number of inputs alone, never on how
// many rows share the call, and weights are streamed once for every tile of rows.
//
// Shapes   x [rows x inputs], w [outputs x inputs], y [rows x outputs], row strides; x and w both float or both bf16 (BF16=1), y float,
//          or for bf16 also bf16 (y_bf16).
// Cost     reads w once a row tile: outputs * inputs * sizeof(storage) bytes, and x once a block, mostly from L2; 2 * rows * outputs *
//          inputs FLOPs.
// Launch   bf16: a block of 8 warps makes 16 OUT_TILES outputs of 8 ROW_TILES rows; each warp sums every eighth span of 64 inputs with
//          mma.m16n8k16 (weights are the 16, rows the 8) and the 8 partial sums are added in order. A lane fetches with cp.async the very
//          16 bytes that it feeds to the tensor cores, STAGES deep, so the pipeline needs no barrier; dynamic shared memory STAGES * (2
//          OUT_TILES + ROW_TILES) * 4 KiB. float: a block of 4 warps, a warp makes OUTS outputs of ROWS rows, its lanes take four inputs
//          each in turn. Grid: row tiles x output tiles, rows first, so that blocks that share weights run together. What bf16 results are
//          added to is fetched before the weights.
// Numerics bf16: sums in float, in the order of gemm.cuh. float: a chain of fma a lane, then a tree over lanes. Tile shapes change no
//          bit.
#include "gemm.cuh"

#if BF16

constexpr int THREADS = SLICES * WARP;
constexpr int OUTS = 16 * OUT_TILES;
constexpr int ROWS = 8 * ROW_TILES;
constexpr int LOADS = 2 * OUT_TILES + ROW_TILES;
// Of the results a thread writes TURNS runs of RUN outputs.
constexpr int EACH = ROWS * OUTS / THREADS;
constexpr int RUN = EACH < 2 ? 2 : EACH < 8 ? EACH : 8;
constexpr int TURNS = (ROWS * OUTS + RUN * THREADS - 1) / (RUN * THREADS);

// Eight inputs of one row, zeros past its end.
__device__ __forceinline__ void fetch(Copies& copies, uint4* slot, const bf16* base, const bf16* row, bool exists, int k,
                                      const GemmArgs& a) {
    int live = live_inputs(exists, k, a.inputs);
    if (a.aligned) {
        copies.copy(slot, live ? row + k : base, live * 2);
    } else {
        run<bf16, 8> v;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v.at[i].bits = i < live ? row[k + i].bits : 0;
        }
        *(run<bf16, 8>*) slot = v;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) gemm_rows(const __grid_constant__ GemmArgs a) {
    extern __shared__ uint4 fifo[];
    int slice = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int q = lane % 4;
    int first_row = blockIdx.x * ROWS;
    int first_output = blockIdx.y * OUTS;
    uint4* own = fifo + slice * (STAGES * LOADS * WARP) + lane;
    const bf16* w = a.w + (i64) (first_output + g) * a.w_stride;
    const bf16* x = a.x + (i64) (first_row + g) * a.x_stride;
    int spans = (a.inputs + SPAN - 1) / SPAN;
    int steps = spans > slice ? 2 * ((spans - slice + SLICES - 1) / SLICES) : 0;

    Results<RUN, TURNS> results;
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        int i = (t * THREADS + threadIdx.x) * RUN;
        results.place(a, t, i < ROWS * OUTS ? first_row + i / OUTS : a.rows, first_output + i % OUTS);
    }
    results.fetch(a);
    Copies copies;
    auto fill = [&](int step) {
        if (step < steps) {
            int k = (slice + step / 2 * SLICES) * SPAN + step % 2 * (SPAN / 2) + q * 8;
            uint4* slot = own + step % STAGES * (LOADS * WARP);
#pragma unroll
            for (int i = 0; i < 2 * OUT_TILES; i++) {
                fetch(copies, slot + i * WARP, a.w, w + i * 8 * a.w_stride, first_output + i * 8 + g < a.outputs, k, a);
            }
#pragma unroll
            for (int i = 0; i < ROW_TILES; i++) {
                fetch(copies, slot + (2 * OUT_TILES + i) * WARP, a.x, x + i * 8 * a.x_stride, first_row + i * 8 + g < a.rows, k, a);
            }
        }
        copies.commit();
    };

    float d[OUT_TILES][ROW_TILES][4];
    clear(d);
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        fill(step);
    }
    for (int step = 0; step < steps; step++) {
        copies.wait<STAGES - 2>();
        // Into the slot that the last step has used up.
        fill(step + STAGES - 1);
        const uint4* slot = own + step % STAGES * (LOADS * WARP);
        half_span(d, [&](int o) { return slot[o * WARP]; }, [&](int r) { return slot[(2 * OUT_TILES + r) * WARP]; });
    }
    copies.wait<0>();
    __syncthreads();
    float* partial = (float*) fifo;
#pragma unroll
    for (int o = 0; o < OUT_TILES; o++) {
#pragma unroll
        for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                partial[(slice * ROWS + r * 8 + 2 * q + i % 2) * OUTS + o * 16 + i / 2 * 8 + g] = d[o][r][i];
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        int i = (t * THREADS + threadIdx.x) * RUN;
        if (i < ROWS * OUTS) {
            float sum[RUN] = {};
#pragma unroll
            for (int s = 0; s < SLICES; s++) {
                float one[RUN];
                read_shared(partial + s * ROWS * OUTS + i, one);
#pragma unroll
                for (int j = 0; j < RUN; j++) {
                    sum[j] += one[j];
                }
            }
            results.put(a, t, sum);
        }
    }
}

#else

constexpr int WARPS = 4;
constexpr int N = 4;
constexpr int STEP = WARP * N;

struct Chains {
    float sum[ROWS][OUTS];
};

// AHEAD_STEPS steps from input k on, all loads first.
template <int AHEAD_STEPS, bool WIDE>
__device__ __forceinline__ void advance(Chains& chains, const float* const (&x)[ROWS], const float* const (&w)[OUTS], int k, int inputs) {
    float xs[AHEAD_STEPS][ROWS][N];
    float ws[AHEAD_STEPS][OUTS][N];
#pragma unroll
    for (int t = 0; t < AHEAD_STEPS; t++) {
        int at = k + t * STEP;
#pragma unroll
        for (int o = 0; o < OUTS; o++) {
            if (WIDE) {
                *(run<float, N>*) ws[t][o] = *(const run<float, N>*) (w[o] + at);
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) {
                    ws[t][o][i] = at + i < inputs ? w[o][at + i] : 0.f;
                }
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (WIDE) {
                *(run<float, N>*) xs[t][r] = *(const run<float, N>*) (x[r] + at);
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) {
                    xs[t][r][i] = at + i < inputs ? x[r][at + i] : 0.f;
                }
            }
        }
    }
#pragma unroll
    for (int t = 0; t < AHEAD_STEPS; t++) {
#pragma unroll
        for (int i = 0; i < N; i++) {
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
#pragma unroll
                for (int o = 0; o < OUTS; o++) {
                    chains.sum[r][o] = fmaf(xs[t][r][i], ws[t][o][i], chains.sum[r][o]);
                }
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP) gemm_rows(const __grid_constant__ GemmArgs a) {
    int lane = threadIdx.x % WARP;
    int first_row = blockIdx.x * ROWS;
    int first_output = (blockIdx.y * WARPS + threadIdx.x / WARP) * OUTS;
    if (first_output >= a.outputs) {
        return;
    }
    Chains chains;
    const float* x[ROWS];
    const float* w[OUTS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        // Rows and outputs past the last are computed as the last once more and not written.
        x[r] = a.x + (i64) min(first_row + r, a.rows - 1) * a.x_stride;
#pragma unroll
        for (int o = 0; o < OUTS; o++) {
            chains.sum[r][o] = 0.f;
        }
    }
#pragma unroll
    for (int o = 0; o < OUTS; o++) {
        w[o] = a.w + (i64) min(first_output + o, a.outputs - 1) * a.w_stride;
    }
    int k = lane * N;
    if (a.aligned) {
        for (; k + (AHEAD - 1) * STEP + N <= a.inputs; k += AHEAD * STEP) {
            advance<AHEAD, true>(chains, x, w, k, a.inputs);
        }
        for (; k + N <= a.inputs; k += STEP) {
            advance<1, true>(chains, x, w, k, a.inputs);
        }
    }
    for (; k < a.inputs; k += STEP) {
        advance<1, false>(chains, x, w, k, a.inputs);
    }
    __syncwarp();
    // Each lane writes its share of the results, which all lanes know.
    constexpr int SHARE = (ROWS * OUTS + WARP - 1) / WARP;
    float own[SHARE] = {};
#pragma unroll
    for (int i = 0; i < ROWS * OUTS; i++) {
        float sum = warp_sum(chains.sum[i / OUTS][i % OUTS]);
        own[i / WARP] = lane == i % WARP ? sum : own[i / WARP];
    }
#pragma unroll
    for (int i = 0; i < SHARE; i++) {
        int row = first_row + (i * WARP + lane) / OUTS;
        int output = first_output + (i * WARP + lane) % OUTS;
        if (i * WARP + lane < ROWS * OUTS && row < a.rows && output < a.outputs) {
            float* y = (float*) a.y + row * a.y_stride + output;
            *y = a.accumulate ? *y + own[i] : own[i];
        }
    }
}

#endif
