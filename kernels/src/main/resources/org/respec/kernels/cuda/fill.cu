// x = value, every element.
//
// Shapes   x [rows x cols] with a row stride; storage float or bf16 (BF16=1).
// Cost     writes rows * cols * sizeof(storage) bytes; no FLOPs.
// Launch   rows * tiles blocks of up to 256 threads, four runs of 16 bytes a thread; a matrix without gaps comes as one row.
// Numerics exact in float; rounded to nearest even in bf16.
#include "packs.cuh"

struct FillArgs {
    storage* x;
    i64 stride;
    i64 cols;
    u32 tiles;
    float value;
};

constexpr int N = pack16<storage>::N;
constexpr int TURNS = 4;

extern "C" __global__ void fill(const __grid_constant__ FillArgs a) {
    u32 row = blockIdx.x / a.tiles;
    i64 first = (i64) (blockIdx.x % a.tiles) * blockDim.x * (N * TURNS) + threadIdx.x * N;
    float v[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        v[i] = a.value;
    }
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        i64 c = first + (i64) t * blockDim.x * N;
        if (c < a.cols) {
            store_run<N>(a.x + row * a.stride + c, a.cols - c < N ? (int) (a.cols - c) : N, v);
        }
    }
}
