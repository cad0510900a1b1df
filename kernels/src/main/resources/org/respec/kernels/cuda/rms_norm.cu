// RMS normalisation, row by row: out = x / sqrt(mean(x^2) + eps) * weight; with COPY=1 also
// copy[copy_rows[i]] = x[i].
//
// Shapes   x, out, copy [rows x cols] with row strides, weight [cols]; x, out and copy float or bf16 (BF16=1), weight float or bf16
//          (PARAMETER_BF16=1). out may be x. copy_rows int [rows], all different, or null for the same rows.
// Cost     reads x and weight, writes out: 2 * rows * cols * sizeof(storage) bytes (weight stays in cache), with a copy 3 of them, where
//          a copy of its own and the norm move 4 in two launches; 4 FLOPs an element. The residual sum before a norm is no part of this:
//          it is made by the product that ends in it, whose tile is in registers, while a norm that added it would have to read and
//          write a matrix more.
// Launch   one block a row, 32 to 1024 threads; a thread keeps up to four runs of 16 bytes in registers between the two passes, so a row
//          is read once (of rows over 64 KiB the rest comes again from L1 or L2). At 64 registers an SM has 1024 threads, so 64 KiB in
//          flight: more than the 36 KiB a microsecond that are its share of an H200's bandwidth.
// Numerics sums in float: each thread a chain over its own elements, then warp and block trees; a function of the row and its length.
#include "packs.cuh"
#include "warp.cuh"

struct RmsNormArgs {
    const storage* x;
    const parameter* weight;
    storage* out;
    storage* copy;
    const int* copy_rows;
    i64 x_stride;
    i64 out_stride;
    i64 copy_stride;
    int cols;
    float eps;
};

constexpr int N = pack16<storage>::N;
constexpr int TURNS = 4;
// Weights are on their way before the sum over the row is waited for, since with few rows they come from memory: at once where registers
// hold them beside the row's first use.
constexpr bool WEIGHTS_FIRST = sizeof(parameter) <= sizeof(storage);

__device__ __forceinline__ float squares(const float (&v)[N], float sum) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        sum = fmaf(v[i], v[i], sum);
    }
    return sum;
}

__device__ __forceinline__ void scaled(const RmsNormArgs& a, storage* out, int c, float scale, const float (&v)[N], float (&w)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        w[i] = v[i] * scale * w[i];
    }
    store_run<N>(out + c, a.cols - c, w);
}

extern "C" __global__ void __launch_bounds__(1024) rms_norm(const __grid_constant__ RmsNormArgs a) {
    __shared__ float shared[WARP];
    const storage* x = a.x + blockIdx.x * a.x_stride;
    storage* out = a.out + blockIdx.x * a.out_stride;
    int first = threadIdx.x * N;
    int step = blockDim.x * N;
    raw_runs<N, TURNS, storage> kept = fetch_turns<N, TURNS>(x + first, a.cols - first, step);
    raw_runs<N, TURNS, parameter> weights;
    if (WEIGHTS_FIRST) {
        weights = fetch_turns<N, TURNS>(a.weight + first, a.cols - first, step);
    }
    i64 place = COPY && a.copy_rows != nullptr ? a.copy_rows[blockIdx.x] : blockIdx.x;
    storage* copy = a.copy + place * a.copy_stride;
    float sum = 0.f;
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        float v[N];
        kept.unpack(t, v);
        sum = squares(v, sum);
        if (COPY) {
            store_run<N>(copy + first + t * step, a.cols - first - t * step, v);
        }
    }
    for (int c = first + TURNS * step; c < a.cols; c += step) {
        float v[N];
        load_run<N>(x + c, a.cols - c, v);
        sum = squares(v, sum);
        if (COPY) {
            store_run<N>(copy + c, a.cols - c, v);
        }
    }
    if (!WEIGHTS_FIRST) {
        weights = fetch_turns<N, TURNS>(a.weight + first, a.cols - first, step);
    }
    kept.pack();
    float scale = 1.f / sqrtf(block_sum(sum, shared) / a.cols + a.eps);
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        int c = first + t * step;
        if (c < a.cols) {
            float v[N];
            float w[N];
            kept.unpack(t, v);
            weights.unpack(t, w);
            scaled(a, out, c, scale, v, w);
        }
    }
    for (int c = first + TURNS * step; c < a.cols; c += step) {
        float v[N];
        float w[N];
        load_run<N>(x + c, a.cols - c, v);
        load_run<N>(a.weight + c, a.cols - c, w);
        scaled(a, out, c, scale, v, w);
    }
}
