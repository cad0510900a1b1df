// Sum of the squares of n floats. Two kernels: squared_norm_parts sums chunks of fixed size, squared_norm_total adds the chunks.
//
// Shapes   x float [n] without gaps; parts double [chunks], total double [1].
// Cost     reads 4 n bytes; 2 n FLOPs in double.
// Launch   squared_norm_parts: one block of 256 threads a chunk of 16384 elements; squared_norm_total: one block of 256 threads.
// Numerics double throughout: squares of floats are exact in double. Chains of fixed length, then a tree: a function of n alone.
#include "packs.cuh"

constexpr int THREADS = 256;
constexpr int CHUNK = 16384;
constexpr int N = 4;
constexpr int TURNS = 4;

__device__ __forceinline__ double block_total(double x, double* shared) {
    shared[threadIdx.x] = x;
    __syncthreads();
    for (int step = THREADS / 2; step > 0; step >>= 1) {
        if (threadIdx.x < step) {
            shared[threadIdx.x] += shared[threadIdx.x + step];
        }
        __syncthreads();
    }
    return shared[0];
}

struct SquaredNormPartsArgs {
    const float* x;
    double* parts;
    i64 size;
};

extern "C" __global__ void __launch_bounds__(THREADS) squared_norm_parts(const __grid_constant__ SquaredNormPartsArgs a) {
    __shared__ double shared[THREADS];
    i64 from = (i64) blockIdx.x * CHUNK;
    int size = a.size - from < CHUNK ? (int) (a.size - from) : CHUNK;
    double sum = 0.0;
    for (int c = threadIdx.x * N; c < size; c += TURNS * THREADS * N) {
        raw_runs<N, TURNS, float> held = fetch_turns<N, TURNS>(a.x + from + c, size - c, THREADS * N);
#pragma unroll
        for (int t = 0; t < TURNS; t++) {
            float v[N];
            held.unpack(t, v);
#pragma unroll
            for (int i = 0; i < N; i++) {
                sum += (double) v[i] * (double) v[i];
            }
        }
    }
    sum = block_total(sum, shared);
    if (threadIdx.x == 0) {
        a.parts[blockIdx.x] = sum;
    }
}

struct SquaredNormTotalArgs {
    const double* parts;
    double* total;
    int chunks;
};

extern "C" __global__ void __launch_bounds__(THREADS) squared_norm_total(const __grid_constant__ SquaredNormTotalArgs a) {
    __shared__ double shared[THREADS];
    double sum = 0.0;
    for (int c = threadIdx.x; c < a.chunks; c += THREADS) {
        sum += a.parts[c];
    }
    sum = block_total(sum, shared);
    if (threadIdx.x == 0) {
        *a.total = sum;
    }
}
