// table[tokens[i]] += d_out[i], in row order. Two kernels: embedding_links finds for each row the next one with the same token;
// embedding_backward follows these links from each token's first row.
//
// Shapes   d_out [rows x cols], float or bf16 (BF16=1); tokens I32 [rows]; table float [vocab x cols]; row strides. Links are two I32
//          [rows]: next row with the same token or -1; and 1 for rows that have an earlier one (0 before the first kernel runs).
// Cost     reads d_out once, reads and writes each touched row of the table once: rows * cols * sizeof(storage) + 8 * tokens * cols
//          bytes, rows * cols FLOPs; links read 4 bytes for each row passed on the way to the next one with the token, from L1 and L2.
// Launch   embedding_links: a warp a row, 8 warps a block. embedding_backward: rows * tiles blocks of up to 256 threads, a run of four
//          floats a thread.
// Numerics one chain of float additions for each element, starting with the table's own value, in row order; no atomics. Tokens out of
//          range are reported and left out.
#include "faults.cuh"
#include "packs.cuh"
#include "warp.cuh"

struct EmbeddingLinksArgs {
    const int* tokens;
    int* next;
    int* earlier;
    Fault* fault;
    int rows;
    int vocab;
};

extern "C" __global__ void embedding_links(const __grid_constant__ EmbeddingLinksArgs a) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= a.rows) {
        return;
    }
    int token = a.tokens[row];
    if (token < 0 || token >= a.vocab) {
        if (lane == 0) {
            report(a.fault, FAULT_INDEX, row, token);
            a.next[row] = -1;
            a.earlier[row] = 1;
        }
        return;
    }
    int next = -1;
    for (int from = row + 1; from < a.rows; from += WARP) {
        int j = from + lane;
        unsigned same = __ballot_sync(FULL, j < a.rows && a.tokens[j] == token);
        if (same) {
            next = from + __ffs(same) - 1;
            break;
        }
    }
    if (lane == 0) {
        a.next[row] = next;
        if (next >= 0) {
            a.earlier[next] = 1;
        }
    }
}

struct EmbeddingBackwardArgs {
    const storage* d_out;
    const int* tokens;
    const int* next;
    const int* earlier;
    float* table;
    i64 d_out_stride;
    i64 table_stride;
    int cols;
    u32 tiles;
};

constexpr int N = 4;

extern "C" __global__ void embedding_backward(const __grid_constant__ EmbeddingBackwardArgs a) {
    int row = blockIdx.x / a.tiles;
    int c = ((blockIdx.x % a.tiles) * blockDim.x + threadIdx.x) * N;
    if (a.earlier[row] || c >= a.cols) {
        return;
    }
    int live = a.cols - c;
    float* target = a.table + a.tokens[row] * a.table_stride + c;
    float sum[N];
    load_run<N>(target, live, sum);
    for (int r = row; r >= 0; r = a.next[r]) {
        float v[N];
        load_run<N>(a.d_out + r * a.d_out_stride + c, live, v);
#pragma unroll
        for (int i = 0; i < N; i++) {
            sum[i] += v[i];
        }
    }
    store_run<N>(target, live, sum);
}
