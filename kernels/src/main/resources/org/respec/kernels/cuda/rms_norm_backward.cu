// Gradient of RMS normalisation. With s = 1 / sqrt(mean(x^2) + eps) and n = x s:
// d_x = s (w d - n mean(w d n)), or += ; partials[chunk] = sum of d n over the chunk's rows.
//
// Shapes   x, d_out, d_x [rows x cols] with row strides, float or bf16 (BF16=1); weight [cols] float or bf16 (PARAMETER_BF16=1);
//          partials float [chunks x cols]. d_x may be d_out. cols at most 4 * THREADS * N.
// Cost     reads x and d_out, writes d_x (reads it too if it is added to): 3 or 4 * rows * cols * sizeof(storage) bytes, and
//          4 * chunks * cols for the partial sums; about 12 FLOPs an element.
// Launch   one block a chunk of consecutive rows, 32 to THREADS threads; a thread owns up to four runs of 16 bytes of columns and keeps
//          both rows and its columns' sums in registers.
// Numerics sums in float: over a row as in rms_norm, over rows of a chunk in ascending order; column_sums.cu then adds the chunks in order.
//          The chunks are a function of the number of rows.
#include "packs.cuh"
#include "warp.cuh"

struct RmsNormBackwardArgs {
    const storage* x;
    const storage* d_out;
    storage* d_x;
    const parameter* weight;
    float* partials;
    i64 x_stride;
    i64 d_out_stride;
    i64 d_x_stride;
    int rows;
    int chunk;
    int cols;
    float eps;
    int accumulate;
};

constexpr int N = pack16<storage>::N;
constexpr int TURNS = 4;

extern "C" __global__ void __launch_bounds__(THREADS) rms_norm_backward(const __grid_constant__ RmsNormBackwardArgs a) {
    __shared__ float squares_shared[WARP];
    __shared__ float dots_shared[WARP];
    int first = threadIdx.x * N;
    int step = blockDim.x * N;
    float sums[TURNS][N];
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            sums[t][i] = 0.f;
        }
    }
    raw_runs<N, TURNS, parameter> weights = fetch_turns<N, TURNS>(a.weight + first, a.cols - first, step);
    int from = blockIdx.x * a.chunk;
    int to = a.rows - from < a.chunk ? a.rows : from + a.chunk;
    for (int row = from; row < to; row++) {
        const storage* x = a.x + row * a.x_stride;
        const storage* d = a.d_out + row * a.d_out_stride;
        storage* d_x = a.d_x + row * a.d_x_stride;
        raw_runs<N, TURNS, storage> xs = fetch_turns<N, TURNS>(x + first, a.cols - first, step);
        raw_runs<N, TURNS, storage> ds = fetch_turns<N, TURNS>(d + first, a.cols - first, step);
        raw_runs<N, TURNS, storage> olds = fetch_turns<N, TURNS>(d_x + first, a.accumulate ? a.cols - first : 0, step);
        float square = 0.f;
        float dot = 0.f;
#pragma unroll
        for (int t = 0; t < TURNS; t++) {
            float x[N];
            float d[N];
            float w[N];
            xs.unpack(t, x);
            ds.unpack(t, d);
            weights.unpack(t, w);
#pragma unroll
            for (int i = 0; i < N; i++) {
                square = fmaf(x[i], x[i], square);
                dot = fmaf(d[i] * w[i], x[i], dot);
            }
        }
        xs.pack();
        ds.pack();
        weights.pack();
        float scale = 1.f / sqrtf(block_sum(square, squares_shared) / a.cols + a.eps);
        float mean = block_sum(dot, dots_shared) * scale / a.cols;
#pragma unroll
        for (int t = 0; t < TURNS; t++) {
            int c = first + t * step;
            if (c < a.cols) {
                float x[N];
                float d[N];
                float w[N];
                xs.unpack(t, x);
                ds.unpack(t, d);
                weights.unpack(t, w);
#pragma unroll
                for (int i = 0; i < N; i++) {
                    float normed = x[i] * scale;
                    sums[t][i] = fmaf(normed, d[i], sums[t][i]);
                    w[i] = (d[i] * w[i] - normed * mean) * scale;
                }
                if (a.accumulate) {
                    float old[N];
                    olds.unpack(t, old);
#pragma unroll
                    for (int i = 0; i < N; i++) {
                        w[i] += old[i];
                    }
                }
                store_run<N>(d_x + c, a.cols - c, w);
            }
        }
    }
    float* partial = a.partials + (i64) blockIdx.x * a.cols;
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        int c = first + t * step;
        if (c < a.cols) {
            store_run<N>(partial + c, a.cols - c, sums[t]);
        }
    }
}
