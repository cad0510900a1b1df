// SwiGLU, out = silu(gate) * up with silu(g) = g / (1 + exp(-g)); and its gradient, d_gate = d up silu'(gate), d_up = d silu(gate).
//
// Shapes   gate_up [rows x 2 cols] (gate, then up), out and d_out [rows x cols], d_gate_up [rows x 2 cols]; row strides; storage float or
//          bf16 (BF16=1). The gradient may be written over gate_up.
// Cost     forward 3 * rows * cols * sizeof(storage) bytes, gradient 5 *; about 25 and 30 FLOPs an element in float, half that in bf16.
// Launch   rows * tiles blocks of up to 256 threads, a run of 16 bytes of each matrix a thread.
// Numerics float: the host's exponential (math.cuh) and correctly rounded divisions; bf16: the hardware's exponential and reciprocal,
//          good to a few units of float's last place, which bf16's rounding hides.
#include "packs.cuh"
#include "math.cuh"

constexpr int N = pack16<storage>::N;

__device__ __forceinline__ float over_one_plus_exp(float x, float g) {
#if BF16
    return __fdividef(x, 1.f + __expf(-g));
#else
    return x / (exact_exp(-g) + 1.f);
#endif
}

struct SwigluArgs {
    const storage* gate_up;
    storage* out;
    i64 gate_up_stride;
    i64 out_stride;
    int cols;
    u32 tiles;
};

extern "C" __global__ void swiglu(const __grid_constant__ SwigluArgs a) {
    u32 row = blockIdx.x / a.tiles;
    int c = ((blockIdx.x % a.tiles) * blockDim.x + threadIdx.x) * N;
    if (c >= a.cols) {
        return;
    }
    const storage* gates = a.gate_up + row * a.gate_up_stride + c;
    const storage* from[2] = {gates, gates + a.cols};
    float v[2][N];
    load_runs<N>(from, a.cols - c, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
        v[1][i] = over_one_plus_exp(v[0][i], v[0][i]) * v[1][i];
    }
    store_run<N>(a.out + row * a.out_stride + c, a.cols - c, v[1]);
}

struct SwigluBackwardArgs {
    const storage* gate_up;
    const storage* d_out;
    storage* d_gate_up;
    i64 gate_up_stride;
    i64 d_out_stride;
    i64 d_gate_up_stride;
    int cols;
    u32 tiles;
};

extern "C" __global__ void swiglu_backward(const __grid_constant__ SwigluBackwardArgs a) {
    u32 row = blockIdx.x / a.tiles;
    int c = ((blockIdx.x % a.tiles) * blockDim.x + threadIdx.x) * N;
    if (c >= a.cols) {
        return;
    }
    const storage* gates = a.gate_up + row * a.gate_up_stride + c;
    const storage* from[3] = {gates, gates + a.cols, a.d_out + row * a.d_out_stride + c};
    float v[3][N];
    load_runs<N>(from, a.cols - c, v);
    float (&g)[N] = v[0];
    float (&u)[N] = v[1];
    float (&d)[N] = v[2];
#pragma unroll
    for (int i = 0; i < N; i++) {
        float sigmoid = over_one_plus_exp(1.f, g[i]);
        float slope = sigmoid * (g[i] * (1.f - sigmoid) + 1.f);
        float up = u[i];
        u[i] = d[i] * g[i] * sigmoid;
        g[i] = d[i] * up * slope;
    }
    storage* target = a.d_gate_up + row * a.d_gate_up_stride + c;
    store_run<N>(target, a.cols - c, g);
    store_run<N>(target + a.cols, a.cols - c, u);
}
