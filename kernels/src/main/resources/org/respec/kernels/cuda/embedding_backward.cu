// table[tokens[i]] += d_out[i], in row order. Two kernels: embedding_order brings the rows of each token together, in row order;
// embedding_backward adds them up.
//
// Shapes   d_out [rows x cols], float or bf16 (BF16=1); tokens I32 [rows]; table float [vocab x cols]; row strides. Order and count are
//          I32 [rows]: rows by token, then by row; and at the first place of each token how many rows it has, 0 elsewhere (0 before the
//          first kernel runs).
// Cost     reads d_out once, reads and writes each touched row of the table once: rows * cols * sizeof(storage) + 8 * tokens * cols
//          bytes, rows * cols FLOPs; the order takes rows * rows comparisons and reads of 4 bytes, from L1 and L2.
// Launch   embedding_order: a warp a row, 8 warps a block. embedding_backward: rows * tiles blocks of up to 256 threads, a run of four
//          floats a thread. A token of many rows, as all are of a small vocabulary, is one block's work: it reads AHEAD rows at once,
//          and none to know which comes next.
// Numerics one chain of float additions for each element, starting with the table's own value, in row order; no atomics. Tokens out of
//          range are reported and left out.
#include "faults.cuh"
#include "packs.cuh"
#include "warp.cuh"

struct EmbeddingOrderArgs {
    const int* tokens;
    int* order;
    int* count;
    Fault* fault;
    int rows;
    int vocab;
};

__device__ __forceinline__ int warp_count(int x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        x += __shfl_xor_sync(FULL, x, step);
    }
    return x;
}

extern "C" __global__ void embedding_order(const __grid_constant__ EmbeddingOrderArgs a) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= a.rows) {
        return;
    }
    int token = a.tokens[row];
    if (token < 0 || token >= a.vocab) {
        if (lane == 0) {
            report(a.fault, FAULT_INDEX, row, token);
        }
        return;
    }
    int smaller = 0;
    int earlier = 0;
    int same = 0;
#pragma unroll 4
    for (int j = lane; j < a.rows; j += WARP) {
        int other = a.tokens[j];
        smaller += other >= 0 && other < token;
        same += other == token;
        earlier += other == token && j < row;
    }
    smaller = warp_count(smaller);
    earlier = warp_count(earlier);
    same = warp_count(same);
    if (lane == 0) {
        a.order[smaller + earlier] = row;
        if (earlier == 0) {
            a.count[smaller] = same;
        }
    }
}

struct EmbeddingBackwardArgs {
    const storage* d_out;
    const int* tokens;
    const int* order;
    const int* count;
    float* table;
    i64 d_out_stride;
    i64 table_stride;
    int cols;
    u32 tiles;
};

constexpr int N = 4;
constexpr int AHEAD = 8;

__device__ __forceinline__ void load_ahead(const storage* source, const int* rows, i64 stride, run<storage, N> (&r)[AHEAD]) {
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
        r[k] = *(const run<storage, N>*) (source + rows[k] * stride);
    }
}

__device__ __forceinline__ void add(const run<storage, N> (&r)[AHEAD], float (&sum)[N]) {
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum[j] += to_float(r[k].at[j]);
        }
    }
}

extern "C" __global__ void embedding_backward(const __grid_constant__ EmbeddingBackwardArgs a) {
    int place = blockIdx.x / a.tiles;
    int c = ((blockIdx.x % a.tiles) * blockDim.x + threadIdx.x) * N;
    int count = a.count[place];
    if (count == 0 || c >= a.cols) {
        return;
    }
    int live = a.cols - c;
    const int* rows = a.order + place;
    const storage* source = a.d_out + c;
    float* target = a.table + a.tokens[rows[0]] * a.table_stride + c;
    float sum[N];
    load_run<N>(target, live, sum);
    int i = 0;
    if (count >= AHEAD && live >= N && aligned_run<N>(source) && a.d_out_stride % N == 0) {
        // Rows are loaded in the pass before that which adds them: within one, the compiler puts each load close to its additions.
        run<storage, N> r[AHEAD];
        load_ahead(source, rows, a.d_out_stride, r);
        for (; i + 2 * AHEAD <= count; i += AHEAD) {
            run<storage, N> next[AHEAD];
            load_ahead(source, rows + i + AHEAD, a.d_out_stride, next);
            add(r, sum);
#pragma unroll
            for (int k = 0; k < AHEAD; k++) {
                r[k] = next[k];
            }
        }
        add(r, sum);
        i += AHEAD;
    }
    for (; i < count; i++) {
        float v[N];
        load_run<N>(source + rows[i] * a.d_out_stride, live, v);
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum[j] += v[j];
        }
    }
    store_run<N>(target, live, sum);
}
