// One AdamW step (Loshchilov and Hutter, 2019): g = gradient * scale, m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
// w = w decay - m c1 / (sqrt(v c2) + eps) * rate.
//
// Shapes   weights, gradients: float [n] without gaps; first (m), second (v): the same, or bf16 (MOMENT_BF16=1); copy (COPY_BF16=1):
//          bf16 [n], the new weights to nearest, ties to even, for passes to read.
// Cost     reads four and writes three floats an element: 28 n bytes, 20 n with moments in bf16, 2 n more with a copy (a conversion of
//          its own reads and writes 6 n); 15 n FLOPs.
// Launch   blocks of 256 threads, a run of 16 bytes of each tensor a thread.
// Numerics the host's operations in the host's order, each rounded by itself, so that both give the same bits. The update takes moments
//          as computed; those stored as bf16 are rounded up or down by chance, a hash of element and step: rounded to nearest, v would
//          never change by a share as small as 1 - b2.
#include "packs.cuh"

#if MOMENT_BF16
typedef bf16 moment;
#else
typedef float moment;
#endif

struct AdamwArgs {
    float* weights;
    const float* gradients;
    moment* first;
    moment* second;
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
    u32 step;
#if COPY_BF16
    bf16* copy;
#endif
};

// Bits that look random (the finaliser of MurmurHash3).
__device__ __forceinline__ u32 hash(u64 element, u32 step) {
    u32 h = (u32) element * 0x9e3779b1u ^ (u32) (element >> 32) * 0x85ebca77u ^ step * 0xc2b2ae3du;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return h ^ (h >> 16);
}

// x where moments are float; else one of its two neighbours in bf16, the nearer the likelier, by 16 random bits.
__device__ __forceinline__ float stored(float x, u32 random) {
#if MOMENT_BF16
    return __uint_as_float((__float_as_uint(x) + (random & 0xffffu)) & 0xffff0000u);
#else
    return x;
#endif
}

constexpr int N = 4;

extern "C" __global__ void adamw(const __grid_constant__ AdamwArgs a) {
    i64 c = ((i64) blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (c >= a.size) {
        return;
    }
    int live = a.size - c < N ? (int) (a.size - c) : N;
    const float* floats[2] = {a.weights + c, a.gradients + c};
    const moment* moments[2] = {a.first + c, a.second + c};
    raw_runs<N, 2, float> raw = fetch_runs<N>(floats, live);
    raw_runs<N, 2, moment> raw_moments = fetch_runs<N>(moments, live);
    float w[N];
    float g[N];
    float m[N];
    float v[N];
    raw.unpack(0, w);
    raw.unpack(1, g);
    raw_moments.unpack(0, m);
    raw_moments.unpack(1, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
        float gradient = __fmul_rn(g[i], a.scale);
        m[i] = __fadd_rn(__fmul_rn(m[i], a.beta1), __fmul_rn(gradient, a.rest1));
        v[i] = __fadd_rn(__fmul_rn(v[i], a.beta2), __fmul_rn(__fmul_rn(gradient, gradient), a.rest2));
        float root = __fadd_rn(sqrtf(__fmul_rn(v[i], a.correction2)), a.eps);
        float update = __fmul_rn(__fmul_rn(m[i], a.correction1) / root, a.rate);
        w[i] = __fadd_rn(__fmul_rn(w[i], a.decay), -update);
        u32 random = MOMENT_BF16 ? hash(c + i, a.step) : 0;
        m[i] = stored(m[i], random);
        v[i] = stored(v[i], random >> 16);
    }
    store_run<N>(a.weights + c, live, w);
#if COPY_BF16
    store_run<N>(a.copy + c, live, w);
#endif
    store_run<N>(a.first + c, live, m);
    store_run<N>(a.second + c, live, v);
}
