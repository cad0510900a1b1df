// RMS normalisation, row by row: out = x / sqrt(mean(x^2) + eps) * weight.
//
// Shapes   x, out [rows x cols] with row strides, weight [cols]; storage float or bf16 (BF16=1).
// Cost     reads x and weight, writes out: 2 * rows * cols * sizeof(storage) bytes (weight stays in cache); 4 FLOPs an element.
// Launch   one block a row, 32 to 1024 threads, 16 bytes a thread and turn where row and weight are aligned; rows stay in L1/L2
//          between the two passes, so DRAM sees each byte once.
// Numerics sums in float: each thread a chain over its own elements, then warp and block trees; no dependence on the row count.
#include "types.cuh"
#include "warp.cuh"

struct RmsNormArgs {
    const storage* x;
    const storage* weight;
    storage* out;
    i64 x_stride;
    i64 out_stride;
    int cols;
    float eps;
};

extern "C" __global__ void rms_norm(const __grid_constant__ RmsNormArgs a) {
    __shared__ float shared[WARP];
    const storage* x = a.x + blockIdx.x * a.x_stride;
    storage* out = a.out + blockIdx.x * a.out_stride;
    constexpr int N = pack16<storage>::N;
    bool wide = a.cols % N == 0 && aligned16(x) && aligned16(out) && aligned16(a.weight);
    float sum = 0.f;
    if (wide) {
        for (int c = threadIdx.x * N; c < a.cols; c += blockDim.x * N) {
            pack16<storage> v = *(const pack16<storage>*) (x + c);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float value = to_float(v.at[i]);
                sum = fmaf(value, value, sum);
            }
        }
    } else {
        for (int c = threadIdx.x; c < a.cols; c += blockDim.x) {
            float value = to_float(x[c]);
            sum = fmaf(value, value, sum);
        }
    }
    float scale = 1.f / sqrtf(block_sum(sum, shared) / a.cols + a.eps);
    if (wide) {
        for (int c = threadIdx.x * N; c < a.cols; c += blockDim.x * N) {
            pack16<storage> v = *(const pack16<storage>*) (x + c);
            pack16<storage> w = *(const pack16<storage>*) (a.weight + c);
            pack16<storage> y;
#pragma unroll
            for (int i = 0; i < N; i++) {
                from_float(to_float(v.at[i]) * scale * to_float(w.at[i]), y.at[i]);
            }
            *(pack16<storage>*) (out + c) = y;
        }
    } else {
        for (int c = threadIdx.x; c < a.cols; c += blockDim.x) {
            from_float(to_float(x[c]) * scale * to_float(a.weight[c]), out[c]);
        }
    }
}
