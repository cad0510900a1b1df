// Causal attention over packed sequences, at the end of a chain of unrolled draft steps (EAGLE-3's training-time test): the query of row r
// is in steps[depth]; it sees the keys of steps[0] from its sequence's first row to r, then row r's own keys of steps[1] to steps[depth].
//
// Shapes   steps [rows x (heads + 2 kv_heads) * HEAD_DIM], out [rows x heads * HEAD_DIM], any strides; storage float or bf16 (BF16=1).
//          starts: first row of each sequence, then the number of rows.
// Cost     4 * HEAD_DIM FLOPs for each visible pair and query head: sum over sequences of n (n + 1) / 2, plus rows * depth. Bytes: queries,
//          out and the step keys and values once; keys and values of steps[0] once from DRAM, again from L2 for every query tile and head.
// Launch   grid (rows / QUERY_TILE + sequences, heads), blocks of QUERY_TILE rows, 16 * M_TILES a warp; long tiles first. Keys and values
//          pass through shared memory in tiles of KEY_TILE, values arriving while scores are computed and the next keys while values are
//          weighed. Tiles past the last visible key are not read.
// Numerics softmax online in float, base 2; bf16: products by tensor cores, weights rounded to bf16 before they meet the values, their sum
//          taken before rounding. Tiles begin at multiples of their size from the sequence's start and a masked key adds zero, so a row's
//          bits depend on its sequence up to it and its place there, not on the pack. They are not those of tree_attention, which splits
//          contexts differently; the difference is one of rounding.
#include "chain.cuh"

constexpr int MT = M_TILES;
constexpr int NT = KEY_TILE / 8;
constexpr int DT = HEAD_DIM / 8;
constexpr int WARPS = QUERY_TILE / (16 * MT);

struct ChainAttentionArgs {
    const storage* steps[CHAIN_STEPS];
    i64 strides[CHAIN_STEPS];
    storage* out;
    i64 out_stride;
    const int* starts;
    int sequences;
    int depth;
    int heads;
    int kv_heads;
    float scale;  // log2(e) / sqrt(HEAD_DIM)
    int wide;     // bit 0: 16-byte, bit 1: pair-wise access is aligned
};

extern "C" __global__ void __launch_bounds__(WARPS * WARP) chain_attention(const __grid_constant__ ChainAttentionArgs a) {
    extern __shared__ __align__(16) u8 dynamic_shared[];
    storage* queries = (storage*) dynamic_shared;
    storage* keys = queries + QUERY_TILE * LD;
    storage* values = keys + KEY_TILE * LD;
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
    const storage* key = a.steps[0] + tile.start * a.strides[0] + kv_shift;
    i64 stride = a.strides[a.depth];
    load_tile<QUERY_TILE>(copies, queries, a.steps[a.depth] + (tile.start + tile.first) * stride + head * HEAD_DIM, stride,
                          tile.length - tile.first, wide);
    load_tile<KEY_TILE>(copies, keys, key, a.strides[0], tile.length, wide);
    copies.commit();

    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int c = lane % 4;
    int warp_row = threadIdx.x / WARP * 16 * MT;
    int first_row = tile.first + warp_row;
    const storage* own_queries = queries + warp_row * LD;
    float o[MT][DT][4];
    float top[MT][2];
    float sum[MT][2];
    clear(o);
#pragma unroll
    for (int m = 0; m < MT; m++) {
        top[m][0] = top[m][1] = -INFINITY;
        sum[m][0] = sum[m][1] = 0.f;
    }

    int visible = min(tile.length, tile.first + QUERY_TILE);
    for (int at = 0; at < visible; at += KEY_TILE) {
        copies.wait<0>();
        __syncthreads();
        load_tile<KEY_TILE>(copies, values, key + value_shift + at * a.strides[0], a.strides[0], tile.length - at, wide);
        copies.commit();
        bool active = first_row < tile.length && at < first_row + 16 * MT;
        float s[MT][NT][4];
        if (active) {
            clear(s);
            multiply_rows<MT, NT, HEAD_DIM, LD>(s, own_queries, keys);
            mask_later(s, at, first_row);
            // The first key is visible to every row, so the maximum is finite from the first tile on.
#pragma unroll
            for (int m = 0; m < MT; m++) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float highest = top[m][half];
#pragma unroll
                    for (int n = 0; n < NT; n++) {
                        highest = fmaxf(highest, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
                    }
                    highest = row_max(highest);
                    float shrink = exp2_approx((top[m][half] - highest) * a.scale);
                    float shift = -highest * a.scale;
                    float added = 0.f;
#pragma unroll
                    for (int n = 0; n < NT; n++) {
#pragma unroll
                        for (int e = 2 * half; e < 2 * half + 2; e++) {
                            s[m][n][e] = exp2_approx(fmaf(s[m][n][e], a.scale, shift));
                            added += s[m][n][e];
                        }
                    }
                    top[m][half] = highest;
                    sum[m][half] = fmaf(sum[m][half], shrink, added);
                    if (__any_sync(FULL, shrink != 1.f)) {
#pragma unroll
                        for (int n = 0; n < DT; n++) {
                            o[m][n][2 * half] *= shrink;
                            o[m][n][2 * half + 1] *= shrink;
                        }
                    }
                }
            }
        }
        copies.wait<0>();
        __syncthreads();
        if (at + KEY_TILE < visible) {
            load_tile<KEY_TILE>(copies, keys, key + (at + KEY_TILE) * a.strides[0], a.strides[0], tile.length - at - KEY_TILE, wide);
        }
        copies.commit();
        if (active) {
            multiply_weights<MT, NT, DT, LD>(o, s, values);
        }
    }

#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = 16 * m + g + 8 * half;
            bool live = first_row + row < tile.length;
            i64 packed = tile.start + (live ? first_row + row : 0);
            float total = row_sum(sum[m][half]);
            for (int d = 1; d <= a.depth; d++) {
                const storage* own_key = a.steps[d] + packed * a.strides[d] + kv_shift;
                float dot = dot_own<DT>(own_queries + row * LD, own_key, pairs);
                float highest = fmaxf(top[m][half], dot);
                float shrink = exp2_approx((top[m][half] - highest) * a.scale);
                float weight = exp2_approx((dot - highest) * a.scale);
                top[m][half] = highest;
                total = fmaf(total, shrink, weight);
#pragma unroll
                for (int n = 0; n < DT; n++) {
                    float x;
                    float y;
                    load_pair(own_key + value_shift + 8 * n + 2 * c, pairs, x, y);
                    o[m][n][2 * half] = fmaf(weight, x, o[m][n][2 * half] * shrink);
                    o[m][n][2 * half + 1] = fmaf(weight, y, o[m][n][2 * half + 1] * shrink);
                }
            }
            float inverse = 1.f / total;
            storage* out = a.out + packed * a.out_stride + head * HEAD_DIM;
            if (live) {
#pragma unroll
                for (int n = 0; n < DT; n++) {
                    store_pair(out + 8 * n + 2 * c, pairs, o[m][n][2 * half] * inverse, o[m][n][2 * half + 1] * inverse);
                }
            }
        }
    }
}
