// Gradient of chain_attention: adds to the queries' gradient in d_steps[depth] and to those of keys and values in d_steps[0] to
// d_steps[depth]. With p the softmax, e = d_out . v and D = sum p e over a query's keys: dv += p d_out, ds = p (e - D) / sqrt(HEAD_DIM),
// dq += ds k, dk += ds q. Scores are recomputed; nothing of the size rows x rows is stored.
//
// Shapes   steps, d_steps [rows x (heads + 2 kv_heads) * HEAD_DIM], d_out [rows x heads * HEAD_DIM], any strides; storage float or bf16
//          (BF16=1). log_sums, means: float [heads x rows], the softmax's log2 of its sum and D, written by the first kernel, read by the
//          others.
// Kernels  queries  owns tiles of query rows and one head. First pass over the visible keys: maximum, sum and D online. Second: dq.
//          keys     owns tiles of key rows of steps[0] and one KV head: for each query head of the group, for each tile of queries from its
//                   own rows on: dk and dv.
//          draft    owns a row and one KV head; gradients of that row's own keys in steps[1] to steps[depth]. Only for depth > 0.
//          Each element has one owner that adds in a fixed order: no atomics, the same bits in every run.
// Cost     18 * HEAD_DIM FLOPs for each visible pair and query head: 4 for the first pass, 6 for dq, 8 for dk and dv. 10 would be the
//          least; the other 8 compute scores and e again, since without atomics no block can finish both dq and dk. Bytes: steps and
//          d_out once, d_steps in and out once; tiles again from L2 for each head and tile.
// Launch   queries: grid (rows / QUERY_TILE + sequences, heads). keys: grid (rows / KEY_TILE + sequences, kv_heads), with COLUMN_SPLIT
//          warps for each 16 keys, each for its part of the columns. draft: grid (rows / 4, kv_heads), a warp a row. Tiles pass through
//          STAGES sets of shared buffers, the next arriving while one is used.
// Numerics float accumulation; bf16: products by tensor cores, p and ds rounded to bf16 before they meet a tile, sums and D from unrounded
//          values; gradients are rounded once, after adding.
#include "chain.cuh"

struct ChainAttentionBackwardArgs {
    const storage* steps[CHAIN_STEPS];
    i64 strides[CHAIN_STEPS];
    storage* d_steps[CHAIN_STEPS];
    i64 d_strides[CHAIN_STEPS];
    const storage* d_out;
    i64 d_out_stride;
    const int* starts;
    float* log_sums;
    float* means;
    int sequences;
    int depth;
    int heads;
    int kv_heads;
    int rows;
    int wide;     // bit 0: 16-byte, bit 1: pair-wise access is aligned
    float scale;  // 1 / sqrt(HEAD_DIM)
    float scale2; // log2(e) / sqrt(HEAD_DIM)
};

#ifdef QUERIES

constexpr int KT = KEY_TILE / 8;
constexpr int DT = HEAD_DIM / 8;
constexpr int WARPS = QUERY_TILE / 16;
constexpr int SET = 2 * KEY_TILE * LD;

// Scores and e of a warp's 16 rows with a tile of keys and values; masked scores are -infinity.
__device__ __forceinline__ void score(float (&s)[1][KT][4], float (&e)[1][KT][4], const storage* queries, const storage* ups,
                                      const storage* keys, int at, int first_row) {
    clear(s);
    clear(e);
    multiply_rows<1, KT, HEAD_DIM, LD>(s, queries, keys);
    multiply_rows<1, KT, HEAD_DIM, LD>(e, ups, keys + KEY_TILE * LD);
    mask_later(s, at, first_row);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP, 1)
    chain_attention_backward_queries(const __grid_constant__ ChainAttentionBackwardArgs a) {
    extern __shared__ __align__(16) u8 dynamic_shared[];
    storage* queries = (storage*) dynamic_shared;
    storage* ups = queries + QUERY_TILE * LD;
    storage* sets = ups + QUERY_TILE * LD;
    Copies copies;
    SpanTile tile;
    if (!find_tile<QUERY_TILE>(a.starts, a.sequences, (int) (gridDim.x - 1 - blockIdx.x), tile)) {
        return;
    }
    bool wide = a.wide & 1;
    bool pairs = a.wide & 2;
    int head = blockIdx.y;
    int kv_shift = (a.heads + head / (a.heads / a.kv_heads)) * HEAD_DIM;
    int value_shift = a.kv_heads * HEAD_DIM;
    i64 first = tile.start + tile.first;
    const storage* key = a.steps[0] + tile.start * a.strides[0] + kv_shift;
    load_tile<QUERY_TILE>(copies, queries, a.steps[a.depth] + first * a.strides[a.depth] + head * HEAD_DIM, a.strides[a.depth],
                          tile.length - tile.first, wide);
    load_tile<QUERY_TILE>(copies, ups, a.d_out + first * a.d_out_stride + head * HEAD_DIM, a.d_out_stride, tile.length - tile.first, wide);

    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int c = lane % 4;
    int warp_row = threadIdx.x / WARP * 16;
    int first_row = tile.first + warp_row;
    const storage* own_queries = queries + warp_row * LD;
    const storage* own_ups = ups + warp_row * LD;
    int tiles = (min(tile.length, tile.first + QUERY_TILE) + KEY_TILE - 1) / KEY_TILE;
    float top[2] = {-INFINITY, -INFINITY};
    float sum[2] = {0.f, 0.f};
    float mean[2] = {0.f, 0.f};
    float log_sum[2];
    float dq[1][DT][4];
    clear(dq);

    // Turns 0 to tiles - 1 are the first pass, the rest the second.
    if (STAGES == 2) {
        load_tile<KEY_TILE>(copies, sets, key, a.strides[0], tile.length, wide);
        load_tile<KEY_TILE>(copies, sets + KEY_TILE * LD, key + value_shift, a.strides[0], tile.length, wide);
    }
    copies.commit();
#pragma unroll 1
    for (int turn = 0; turn < 2 * tiles; turn++) {
        int fetched = turn + STAGES - 1;
        if (fetched < 2 * tiles) {
            int from = (fetched < tiles ? fetched : fetched - tiles) * KEY_TILE;
            storage* set = sets + fetched % STAGES * SET;
            load_tile<KEY_TILE>(copies, set, key + from * a.strides[0], a.strides[0], tile.length - from, wide);
            load_tile<KEY_TILE>(copies, set + KEY_TILE * LD, key + value_shift + from * a.strides[0], a.strides[0], tile.length - from,
                                wide);
        }
        copies.commit();
        copies.wait<STAGES - 1>();
        __syncthreads();
        bool first_pass = turn < tiles;
        int at = (first_pass ? turn : turn - tiles) * KEY_TILE;
        const storage* set = sets + turn % STAGES * SET;
        if (turn == tiles) {
            // All keys of steps[0] are seen; the row's own keys follow, and the softmax is known.
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int row = g + 8 * half;
                bool live = first_row + row < tile.length;
                i64 packed = tile.start + (live ? first_row + row : 0);
                float total = row_sum(sum[half]);
                float weighted = row_sum(mean[half]);
                for (int d = 1; d <= a.depth; d++) {
                    const storage* own_key = a.steps[d] + packed * a.strides[d] + kv_shift;
                    float s = dot_own<8>(own_queries + row * LD, own_key, pairs);
                    float e = dot_own<8>(own_ups + row * LD, own_key + value_shift, pairs);
                    float highest = fmaxf(top[half], s);
                    float shrink = exp2_approx((top[half] - highest) * a.scale2);
                    float weight = exp2_approx((s - highest) * a.scale2);
                    top[half] = highest;
                    total = fmaf(total, shrink, weight);
                    weighted = fmaf(weighted, shrink, weight * e);
                }
                log_sum[half] = fmaf(top[half], a.scale2, log2f(total));
                mean[half] = weighted / total;
                if (live && c == 0) {
                    a.log_sums[(i64) head * a.rows + packed] = log_sum[half];
                    a.means[(i64) head * a.rows + packed] = mean[half];
                }
            }
        }
        if (first_row < tile.length && at < first_row + 16) {
            float s[1][KT][4];
            float e[1][KT][4];
            score(s, e, own_queries, own_ups, set, at, first_row);
            if (first_pass) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float highest = top[half];
#pragma unroll
                    for (int n = 0; n < KT; n++) {
                        highest = fmaxf(highest, fmaxf(s[0][n][2 * half], s[0][n][2 * half + 1]));
                    }
                    highest = row_max(highest);
                    float shrink = exp2_approx((top[half] - highest) * a.scale2);
                    float shift = -highest * a.scale2;
                    top[half] = highest;
                    sum[half] *= shrink;
                    mean[half] *= shrink;
#pragma unroll
                    for (int n = 0; n < KT; n++) {
#pragma unroll
                        for (int i = 2 * half; i < 2 * half + 2; i++) {
                            float weight = exp2_approx(fmaf(s[0][n][i], a.scale2, shift));
                            sum[half] += weight;
                            mean[half] = fmaf(weight, e[0][n][i], mean[half]);
                        }
                    }
                }
            } else {
#pragma unroll
                for (int n = 0; n < KT; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        float p = exp2_approx(fmaf(s[0][n][i], a.scale2, -log_sum[i / 2]));
                        s[0][n][i] = p * (e[0][n][i] - mean[i / 2]);
                    }
                }
                multiply_weights<1, KT, DT, LD>(dq, s, set);
            }
        }
        __syncthreads();
    }

#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = g + 8 * half;
        bool live = first_row + row < tile.length;
        i64 packed = tile.start + (live ? first_row + row : 0);
        for (int d = 1; d <= a.depth; d++) {
            const storage* own_key = a.steps[d] + packed * a.strides[d] + kv_shift;
            float s = dot_own<8>(own_queries + row * LD, own_key, pairs);
            float e = dot_own<8>(own_ups + row * LD, own_key + value_shift, pairs);
            float slope = exp2_approx(fmaf(s, a.scale2, -log_sum[half])) * (e - mean[half]);
#pragma unroll
            for (int n = 0; n < DT; n++) {
                float x;
                float y;
                load_pair(own_key + 8 * n + 2 * c, pairs, x, y);
                dq[0][n][2 * half] = fmaf(slope, x, dq[0][n][2 * half]);
                dq[0][n][2 * half + 1] = fmaf(slope, y, dq[0][n][2 * half + 1]);
            }
        }
        if (live) {
            storage* to = a.d_steps[a.depth] + packed * a.d_strides[a.depth] + head * HEAD_DIM;
#pragma unroll
            for (int n = 0; n < DT; n++) {
                add_pair(to + 8 * n + 2 * c, pairs, dq[0][n][2 * half] * a.scale, dq[0][n][2 * half + 1] * a.scale);
            }
        }
    }
}

#endif

#ifdef KEYS

constexpr int QT = QUERY_TILE / 8;
constexpr int CT = HEAD_DIM / 8 / COLUMN_SPLIT;
constexpr int WARPS = KEY_TILE / 16 * COLUMN_SPLIT;
constexpr int SET = 2 * QUERY_TILE * LD;

extern "C" __global__ void __launch_bounds__(WARPS * WARP, 1)
    chain_attention_backward_keys(const __grid_constant__ ChainAttentionBackwardArgs a) {
    extern __shared__ __align__(16) u8 dynamic_shared[];
    storage* keys = (storage*) dynamic_shared;
    storage* values = keys + KEY_TILE * LD;
    storage* sets = values + KEY_TILE * LD;
    Copies copies;
    SpanTile tile;
    if (!find_tile<KEY_TILE>(a.starts, a.sequences, (int) blockIdx.x, tile)) {
        return;
    }
    bool wide = a.wide & 1;
    bool pairs = a.wide & 2;
    int group = a.heads / a.kv_heads;
    int first_head = blockIdx.y * group;
    int kv_shift = (a.heads + blockIdx.y) * HEAD_DIM;
    int value_shift = a.kv_heads * HEAD_DIM;
    const storage* key = a.steps[0] + (tile.start + tile.first) * a.strides[0] + kv_shift;
    const storage* query = a.steps[a.depth] + tile.start * a.strides[a.depth];
    const storage* up = a.d_out + tile.start * a.d_out_stride;
    load_tile<KEY_TILE>(copies, keys, key, a.strides[0], tile.length - tile.first, wide);
    load_tile<KEY_TILE>(copies, values, key + value_shift, a.strides[0], tile.length - tile.first, wide);

    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int c = lane % 4;
    int warp_key = threadIdx.x / WARP / COLUMN_SPLIT * 16;
    int column = threadIdx.x / WARP % COLUMN_SPLIT * (HEAD_DIM / COLUMN_SPLIT);
    int first_key = tile.first + warp_key;
    float dk[1][CT][4];
    float dv[1][CT][4];
    clear(dk);
    clear(dv);

    // A turn is one head and one tile of queries: heads in order, tiles in order.
    int first_tile = tile.first / QUERY_TILE;
    int tiles = (tile.length + QUERY_TILE - 1) / QUERY_TILE - first_tile;
    int turns = group * tiles;
    auto fetch = [&](int turn) {
        storage* set = sets + turn % STAGES * SET;
        int at = (first_tile + turn % tiles) * QUERY_TILE;
        int shift = (first_head + turn / tiles) * HEAD_DIM;
        load_tile<QUERY_TILE>(copies, set, query + at * a.strides[a.depth] + shift, a.strides[a.depth], tile.length - at, wide);
        load_tile<QUERY_TILE>(copies, set + QUERY_TILE * LD, up + at * a.d_out_stride + shift, a.d_out_stride, tile.length - at, wide);
    };
    if (STAGES == 2) {
        fetch(0);
    }
    copies.commit();
#pragma unroll 1
    for (int turn = 0; turn < turns; turn++) {
        if (turn + STAGES - 1 < turns) {
            fetch(turn + STAGES - 1);
        }
        copies.commit();
        copies.wait<STAGES - 1>();
        __syncthreads();
        const storage* set = sets + turn % STAGES * SET;
        int at = (first_tile + turn % tiles) * QUERY_TILE;
        if (first_key < tile.length && at + QUERY_TILE > first_key) {
            // Rows are keys and columns queries, so that p and ds meet the tiles of queries as they are.
            float p[1][QT][4];
            float ds[1][QT][4];
            clear(p);
            clear(ds);
            multiply_rows<1, QT, HEAD_DIM, LD>(p, keys + warp_key * LD, set);
            multiply_rows<1, QT, HEAD_DIM, LD>(ds, values + warp_key * LD, set + QUERY_TILE * LD);
            i64 softmax = (i64) (first_head + turn / tiles) * a.rows + tile.start;
#pragma unroll
            for (int n = 0; n < QT; n++) {
#pragma unroll
                for (int odd = 0; odd < 2; odd++) {
                    int row = at + 8 * n + 2 * c + odd;
                    bool live = row < tile.length;
                    float log_sum = live ? a.log_sums[softmax + row] : 0.f;
                    float mean = live ? a.means[softmax + row] : 0.f;
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        int i = 2 * half + odd;
                        bool visible = live && first_key + g + 8 * half <= row;
                        p[0][n][i] = visible ? exp2_approx(fmaf(p[0][n][i], a.scale2, -log_sum)) : 0.f;
                        ds[0][n][i] = p[0][n][i] * (ds[0][n][i] - mean);
                    }
                }
            }
            multiply_weights<1, QT, CT, LD>(dv, p, set + QUERY_TILE * LD + column);
            multiply_weights<1, QT, CT, LD>(dk, ds, set + column);
        }
        __syncthreads();
    }

#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = first_key + g + 8 * half;
        if (row < tile.length) {
            storage* to = a.d_steps[0] + (tile.start + row) * a.d_strides[0] + kv_shift + column;
#pragma unroll
            for (int n = 0; n < CT; n++) {
                add_pair(to + 8 * n + 2 * c, pairs, dk[0][n][2 * half] * a.scale, dk[0][n][2 * half + 1] * a.scale);
                add_pair(to + value_shift + 8 * n + 2 * c, pairs, dv[0][n][2 * half], dv[0][n][2 * half + 1]);
            }
        }
    }
}

#endif

#ifdef DRAFT

// Pairs of columns that a lane has.
constexpr int PT = (HEAD_DIM / 2 + WARP - 1) / WARP;

extern "C" __global__ void __launch_bounds__(4 * WARP)
    chain_attention_backward_draft(const __grid_constant__ ChainAttentionBackwardArgs a) {
    i64 row = (i64) blockIdx.x * 4 + threadIdx.x / WARP;
    if (row >= a.rows) {
        return;
    }
    bool pairs = a.wide & 2;
    int lane = threadIdx.x % WARP;
    int group = a.heads / a.kv_heads;
    int kv_shift = (a.heads + blockIdx.y) * HEAD_DIM;
    int value_shift = a.kv_heads * HEAD_DIM;
    const storage* query = a.steps[a.depth] + row * a.strides[a.depth] + blockIdx.y * group * HEAD_DIM;
    const storage* up = a.d_out + row * a.d_out_stride + blockIdx.y * group * HEAD_DIM;
    for (int d = 1; d <= a.depth; d++) {
        const storage* key = a.steps[d] + row * a.strides[d] + kv_shift;
        float k[PT][2];
        float v[PT][2];
        float dk[PT][2];
        float dv[PT][2];
#pragma unroll
        for (int n = 0; n < PT; n++) {
            int col = 2 * (lane + WARP * n);
            dk[n][0] = dk[n][1] = dv[n][0] = dv[n][1] = k[n][0] = k[n][1] = v[n][0] = v[n][1] = 0.f;
            if (col < HEAD_DIM) {
                load_pair(key + col, pairs, k[n][0], k[n][1]);
                load_pair(key + value_shift + col, pairs, v[n][0], v[n][1]);
            }
        }
        for (int h = 0; h < group; h++) {
            float q[PT][2];
            float u[PT][2];
            float s = 0.f;
            float e = 0.f;
#pragma unroll
            for (int n = 0; n < PT; n++) {
                int col = 2 * (lane + WARP * n);
                q[n][0] = q[n][1] = u[n][0] = u[n][1] = 0.f;
                if (col < HEAD_DIM) {
                    load_pair(query + h * HEAD_DIM + col, pairs, q[n][0], q[n][1]);
                    load_pair(up + h * HEAD_DIM + col, pairs, u[n][0], u[n][1]);
                }
                s = fmaf(q[n][0], k[n][0], fmaf(q[n][1], k[n][1], s));
                e = fmaf(u[n][0], v[n][0], fmaf(u[n][1], v[n][1], e));
            }
            s = warp_sum(s);
            e = warp_sum(e);
            i64 softmax = (i64) (blockIdx.y * group + h) * a.rows + row;
            float p = exp2_approx(fmaf(s, a.scale2, -a.log_sums[softmax]));
            float ds = p * (e - a.means[softmax]) * a.scale;
#pragma unroll
            for (int n = 0; n < PT; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    dk[n][i] = fmaf(ds, q[n][i], dk[n][i]);
                    dv[n][i] = fmaf(p, u[n][i], dv[n][i]);
                }
            }
        }
        storage* to = a.d_steps[d] + row * a.d_strides[d] + kv_shift;
#pragma unroll
        for (int n = 0; n < PT; n++) {
            int col = 2 * (lane + WARP * n);
            if (col < HEAD_DIM) {
                add_pair(to + col, pairs, dk[n][0], dk[n][1]);
                add_pair(to + value_shift + col, pairs, dv[n][0], dv[n][1]);
            }
        }
    }
}

#endif
