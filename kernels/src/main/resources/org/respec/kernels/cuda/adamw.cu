// One AdamW step (Loshchilov and Hutter, 2019): g = gradient * scale, m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
// w = w decay - m c1 / (sqrt(v c2) + eps) * rate.
//
// Shapes   weights, gradients, first (m), second (v): float [n] without gaps.
// Cost     reads four and writes three floats an element: 28 n bytes; 15 n FLOPs.
// Launch   blocks of 256 threads, a run of 16 bytes of each tensor a thread.
// Numerics the host's operations in the host's order, each rounded by itself, so that both give the same bits.
#include "packs.cuh"

struct AdamwArgs {
    float* weights;
    const float* gradients;
    float* first;
    float* second;
    i64 size;
    float scale;
    float beta1;
    float rest1;
    float beta2;
    float rest2;
    float correction1;
    float correction2;
    float eps;
    float rate;
    float decay;
};

constexpr int N = 4;

extern "C" __global__ void adamw(const __grid_constant__ AdamwArgs a) {
    i64 c = ((i64) blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (c >= a.size) {
        return;
    }
    int live = a.size - c < N ? (int) (a.size - c) : N;
    float w[N];
    float g[N];
    float m[N];
    float v[N];
    load_run<N>(a.weights + c, live, w);
    load_run<N>(a.gradients + c, live, g);
    load_run<N>(a.first + c, live, m);
    load_run<N>(a.second + c, live, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
        float gradient = __fmul_rn(g[i], a.scale);
        m[i] = __fadd_rn(__fmul_rn(m[i], a.beta1), __fmul_rn(gradient, a.rest1));
        v[i] = __fadd_rn(__fmul_rn(v[i], a.beta2), __fmul_rn(__fmul_rn(gradient, gradient), a.rest2));
        float root = __fadd_rn(sqrtf(__fmul_rn(v[i], a.correction2)), a.eps);
        float update = __fmul_rn(__fmul_rn(m[i], a.correction1) / root, a.rate);
        w[i] = __fadd_rn(__fmul_rn(w[i], a.decay), -update);
    }
    store_run<N>(a.weights + c, live, w);
    store_run<N>(a.first + c, live, m);
    store_run<N>(a.second + c, live, v);
}
