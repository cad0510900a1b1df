// y += x, element by element.
//
// Shapes   x, y [rows x cols] with row strides; storage float or bf16 (BF16=1).
// Cost     reads x and y, writes y: 3 * rows * cols * sizeof(storage) bytes; 1 FLOP an element.
// Launch   rows * tiles blocks of up to 256 threads, two runs of 16 bytes a thread; matrices without gaps come as one row.
// Numerics one float addition an element, rounded once.
#include "packs.cuh"

struct AddArgs {
    const storage* x;
    storage* y;
    i64 x_stride;
    i64 y_stride;
    i64 cols;
    u32 tiles;
};

constexpr int N = pack16<storage>::N;
constexpr int TURNS = 2;

extern "C" __global__ void add(const __grid_constant__ AddArgs a) {
    u32 row = blockIdx.x / a.tiles;
    i64 first = (i64) (blockIdx.x % a.tiles) * blockDim.x * (N * TURNS) + threadIdx.x * N;
    const storage* x = a.x + row * a.x_stride;
    storage* y = a.y + row * a.y_stride;
    const storage* from[2 * TURNS];
    int lives[2 * TURNS];
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        i64 c = first + (i64) t * blockDim.x * N;
        from[t] = x + c;
        from[TURNS + t] = y + c;
        lives[t] = lives[TURNS + t] = a.cols - c < N ? (int) max(a.cols - c, (i64) 0) : N;
    }
    raw_runs<N, 2 * TURNS, storage> held = fetch_runs<N>(from, lives);
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        if (lives[t] > 0) {
            float v[N];
            float w[N];
            held.unpack(t, v);
            held.unpack(TURNS + t, w);
#pragma unroll
            for (int i = 0; i < N; i++) {
                w[i] += v[i];
            }
            store_run<N>(y + first + (i64) t * blockDim.x * N, lives[t], w);
        }
    }
}
