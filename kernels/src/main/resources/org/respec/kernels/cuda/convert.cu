// dst = src in another storage type: float to bf16 (BF16=0), or bf16 to float (BF16=1).
//
// Shapes   src, dst [rows x cols] with row strides.
// Cost     reads and writes rows * cols * (4 + 2) bytes in all; no FLOPs.
// Launch   rows * tiles blocks of up to 256 threads, eight elements a thread.
// Numerics rounds to nearest even; to float is exact.
#include "packs.cuh"

#if BF16
typedef float converted;
#else
typedef bf16 converted;
#endif

struct ConvertArgs {
    const storage* src;
    converted* dst;
    i64 src_stride;
    i64 dst_stride;
    i64 cols;
    u32 tiles;
};

constexpr int N = 8;

extern "C" __global__ void convert(const __grid_constant__ ConvertArgs a) {
    u32 row = blockIdx.x / a.tiles;
    i64 c = ((i64) (blockIdx.x % a.tiles) * blockDim.x + threadIdx.x) * N;
    if (c < a.cols) {
        int live = a.cols - c < N ? (int) (a.cols - c) : N;
        float v[N];
        load_run<N>(a.src + row * a.src_stride + c, live, v);
        store_run<N>(a.dst + row * a.dst_stride + c, live, v);
    }
}
