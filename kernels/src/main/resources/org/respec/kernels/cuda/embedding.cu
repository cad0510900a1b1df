// out[i] = table[tokens[i]].
//
// Shapes   table [vocab x cols], tokens I32 [rows], out [rows x cols], row strides; out is float or bf16 (BF16=1), the table float or
//          bf16 (PARAMETER_BF16=1).
// Cost     reads rows * cols * sizeof(parameter) bytes of the table, writes rows * cols * sizeof(storage); no FLOPs.
// Launch   rows * tiles blocks of up to 256 threads, eight elements a thread.
// Numerics copied, or rounded to nearest even. Tokens out of range are reported and their rows left as they are.
#include "faults.cuh"
#include "packs.cuh"

struct EmbeddingArgs {
    const parameter* table;
    const int* tokens;
    storage* out;
    Fault* fault;
    i64 table_stride;
    i64 out_stride;
    int cols;
    int vocab;
    u32 tiles;
};

constexpr int N = 8;

extern "C" __global__ void embedding(const __grid_constant__ EmbeddingArgs a) {
    int row = blockIdx.x / a.tiles;
    u32 tile = blockIdx.x % a.tiles;
    int token = a.tokens[row];
    if (token < 0 || token >= a.vocab) {
        if (threadIdx.x == 0 && tile == 0) {
            report(a.fault, FAULT_INDEX, row, token);
        }
        return;
    }
    int c = (tile * blockDim.x + threadIdx.x) * N;
    if (c < a.cols) {
        float v[N];
        load_run<N>(a.table + token * a.table_stride + c, a.cols - c, v);
        store_run<N>(a.out + row * a.out_stride + c, a.cols - c, v);
    }
}
