// Gradient of qk_norm_rope.cu. Each head's gradient d is rotated back; with s = 1 / sqrt(mean(head^2) + eps) and n = head s:
// d_head = s (w d - n mean(w d n)), and the weights' gradients are the sums of d n. The value part is copied.
//
// Shapes   qkv, d_out, d_qkv [rows x (heads + 2 kv_heads) dim], row strides, float or bf16 (BF16=1); weights [dim], float or bf16
//          (PARAMETER_BF16=1); rope float [rope_rows x dim]; partials float [chunks x 2 dim]: queries, then keys. d_qkv may be d_out.
// Cost     reads qkv and d_out, writes d_qkv: 3 * rows * (heads + 2 kv_heads) * dim * sizeof(storage) bytes (the value part of qkv is not
//          read), and 8 * chunks * dim for the partial sums; about 25 FLOPs an element.
// Launch   one block of 256 threads a chunk of consecutive rows, teams of lanes as in the forward kernel, each walking the chunk's heads.
// Numerics float. A team's weight gradients are chains over its heads; teams are added in order, and column_sums.cu adds the chunks in
//          order. Chunks are a function of the number of rows. A position out of the table is reported and its row left out.
#include "faults.cuh"
#include "packs.cuh"
#include "warp.cuh"

struct QkNormRopeBackwardArgs {
    const storage* qkv;
    const storage* d_out;
    storage* d_qkv;
    const parameter* q_weight;
    const parameter* k_weight;
    const int* positions;
    const float* rope;
    float* partials;
    Fault* fault;
    i64 qkv_stride;
    i64 d_out_stride;
    i64 d_qkv_stride;
    i64 rope_stride;
    int rows;
    int chunk;
    int heads;
    int kv_heads;
    int dim;
    int team_bits;
    int shift;
    int rope_rows;
    float eps;
};

constexpr int N = pack16<storage>::N;
constexpr int THREADS = 256;

// Heads `first` to `first + count` of the chunk's rows; the sums of d n are left in `low_sum` and `high_sum`.
__device__ __forceinline__ void normed_heads(const QkNormRopeBackwardArgs& a, int from, int to, int first, int count,
                                             const parameter* weight, float (&low_sum)[N], float (&high_sum)[N]) {
    int half = a.dim / 2;
    int teams = THREADS >> a.team_bits;
    int team = threadIdx.x >> a.team_bits;
    int i = (threadIdx.x & ((1 << a.team_bits) - 1)) * N;
    float low_weight[N];
    float high_weight[N];
    load_run<N>(weight + i, half - i, low_weight);
    load_run<N>(weight + half + i, half - i, high_weight);
#pragma unroll
    for (int j = 0; j < N; j++) {
        low_sum[j] = 0.f;
        high_sum[j] = 0.f;
    }
    int items = (to - from) * count;
    // Every lane of a warp takes every turn, since teams shuffle together.
    for (int start = 0; start < items; start += teams) {
        int item = start + team;
        int row = from + item / count;
        int head = first + item % count;
        int position = item < items ? a.positions[row] + a.shift : -1;
        int live = position >= 0 && position < a.rope_rows ? half - i : 0;
        const storage* source = a.qkv + row * a.qkv_stride + head * a.dim + i;
        const storage* up = a.d_out + row * a.d_out_stride + head * a.dim + i;
        const float* rope = a.rope + position * a.rope_stride + i;
        const storage* from[4] = {source, source + half, up, up + half};
        const float* turns[2] = {rope, rope + half};
        raw_runs<N, 4, storage> heads = fetch_runs<N>(from, live);
        raw_runs<N, 2, float> raw_turns = fetch_runs<N>(turns, live);
        float low[N];
        float high[N];
        float d_low[N];
        float d_high[N];
        float cosine[N];
        float sine[N];
        heads.unpack(0, low);
        heads.unpack(1, high);
        heads.unpack(2, d_low);
        heads.unpack(3, d_high);
        raw_turns.unpack(0, cosine);
        raw_turns.unpack(1, sine);
        float square = 0.f;
        float dot = 0.f;
#pragma unroll
        for (int j = 0; j < N; j++) {
            float l = d_low[j] * cosine[j] + d_high[j] * sine[j];
            float h = d_high[j] * cosine[j] - d_low[j] * sine[j];
            d_low[j] = l;
            d_high[j] = h;
            square = fmaf(low[j], low[j], square);
            dot = fmaf(l * low_weight[j], low[j], dot);
        }
#pragma unroll
        for (int j = 0; j < N; j++) {
            square = fmaf(high[j], high[j], square);
            dot = fmaf(d_high[j] * high_weight[j], high[j], dot);
        }
        for (int step = (1 << a.team_bits) >> 1; step > 0; step >>= 1) {
            square += __shfl_xor_sync(FULL, square, step);
            dot += __shfl_xor_sync(FULL, dot, step);
        }
        heads.pack();
        float scale = 1.f / sqrtf(square / a.dim + a.eps);
        float mean = dot * scale / a.dim;
        if (live > 0) {
            heads.unpack(0, low);
            heads.unpack(1, high);
#pragma unroll
            for (int j = 0; j < N; j++) {
                float l = low[j] * scale;
                float h = high[j] * scale;
                low_sum[j] = fmaf(d_low[j], l, low_sum[j]);
                high_sum[j] = fmaf(d_high[j], h, high_sum[j]);
                low[j] = scale * (d_low[j] * low_weight[j] - l * mean);
                high[j] = scale * (d_high[j] * high_weight[j] - h * mean);
            }
            storage* target = a.d_qkv + row * a.d_qkv_stride + head * a.dim + i;
            store_run<N>(target, live, low);
            store_run<N>(target + half, live, high);
        }
    }
}

// Adds the teams' sums in order and writes them to this chunk's partial sums.
__device__ __forceinline__ void combine(const QkNormRopeBackwardArgs& a, float* shared, const float (&low_sum)[N],
                                        const float (&high_sum)[N], float* partial) {
    int half = a.dim / 2;
    int teams = THREADS >> a.team_bits;
    int i = (threadIdx.x & ((1 << a.team_bits) - 1)) * N;
    float* own = shared + (threadIdx.x >> a.team_bits) * a.dim + i;
#pragma unroll
    for (int j = 0; j < N; j++) {
        if (i + j < half) {
            own[j] = low_sum[j];
            own[half + j] = high_sum[j];
        }
    }
    __syncthreads();
    for (int c = threadIdx.x; c < a.dim; c += THREADS) {
        float sum = shared[c];
        for (int t = 1; t < teams; t++) {
            sum += shared[t * a.dim + c];
        }
        partial[c] = sum;
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) qk_norm_rope_backward(const __grid_constant__ QkNormRopeBackwardArgs a) {
    __shared__ float shared[THREADS * 2 * N];
    int from = blockIdx.x * a.chunk;
    int to = a.rows - from < a.chunk ? a.rows : from + a.chunk;
    float low_sum[N];
    float high_sum[N];
    float* partial = a.partials + (i64) blockIdx.x * 2 * a.dim;
    normed_heads(a, from, to, 0, a.heads, a.q_weight, low_sum, high_sum);
    combine(a, shared, low_sum, high_sum, partial);
    normed_heads(a, from, to, a.heads, a.kv_heads, a.k_weight, low_sum, high_sum);
    combine(a, shared, low_sum, high_sum, partial + a.dim);
    int values = a.kv_heads * a.dim;
    int first = (a.heads + a.kv_heads) * a.dim;
    for (int row = from; row < to; row++) {
        int position = a.positions[row] + a.shift;
        if (position < 0 || position >= a.rope_rows) {
            if (threadIdx.x == 0) {
                report(a.fault, FAULT_INDEX, row, position);
            }
            continue;
        }
        const storage* up = a.d_out + row * a.d_out_stride + first;
        storage* target = a.d_qkv + row * a.d_qkv_stride + first;
        if (up == target) {
            continue;
        }
        for (int c = threadIdx.x * N; c < values; c += THREADS * N) {
            float v[N];
            load_run<N>(up + c, values - c, v);
            store_run<N>(target + c, values - c, v);
        }
    }
}
