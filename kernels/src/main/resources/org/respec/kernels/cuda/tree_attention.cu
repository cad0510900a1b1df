// Attention of all nodes of all trees, or of decoded or prefilled rows, over the paged cache, in one launch.
//
// Shapes   query rows [rows x stride], of which heads * HEAD_DIM columns are read; out [rows x heads * HEAD_DIM]; cache
//          [page][K|V][kv_head][page_size][HEAD_DIM] of one layer, float or bf16 (CACHE_BF16=1). The query heads of a request that share a
//          KV head, for all its rows, are the rows of one matrix: number (row - first row) * group + head in group. A block works on ROWS
//          = 16 * M_TILES * WARPS of them, one KV head and one span of columns.
// Columns  The tokens that a row sees, in logical order: the first contexts[row] of its sequence, then the in-flight tokens of its mask in
//          ascending order. Column n of a row may be committed or in flight; what is done with it depends on n alone.
// Cost     keys and values once from DRAM: 2 * HEAD_DIM * sizeof(cache) bytes a column and KV head, for as many rows as a request has
//          (more than ROWS of them: once more from L2 for each further ROWS, by neighbouring blocks); queries and out once; for each span
//          but a single one HEAD_DIM + 2 floats a row and head are written, and read by tree_attention_merge. 4 * HEAD_DIM FLOPs a column,
//          row and head; with bf16 the tensor cores do them, 1 to 16 rows at one price. FLOPs per byte of a bf16 cache: the number of rows.
//          By arithmetic, not measured: 32 nodes are 224 FLOPs per byte for a group of 7, an H200's data sheet has 206 (989 TFLOP/s,
//          4.8 TB/s), and mma.sync reaches only a part of those FLOPs: such trees are bound by products, and 1.15 times one node's time
//          is out of reach of this kernel. For a group of 4 they are 128 FLOPs per byte.
// Launch   grid (places of ROWS rows, KV heads, spans): request r has the places rows_before * group / ROWS + r and on, enough for its
//          rows; a block finds its request by a search of the warp. WARPS row groups times TEAMS; teams take alternate chunks of the span.
//          Columns come in tiles of TILE through a ring of SLOTS slots by cp.async, one barrier a tile; where pages hold a power of two of
//          16 tokens or more, a tile is one or two runs of bytes. A span is one chunk of 512 columns where the batch alone does not fill
//          the GPU, else 8 chunks, folded in shared memory. Which, and M_TILES, WARPS and TEAMS, do not change a bit.
// Invariance  A tile begins at a multiple of TILE columns. Where all rows of a warp see all its columns as committed, they share the tile
//          in shared memory. Elsewhere (the tile that holds the end of the context, those with in-flight tokens, the diagonal of a prefill)
//          each row has columns of its own, and they are gathered: ldmatrix takes one address per token, so a node's tile is a list of
//          addresses, of the tile's committed tokens, of the request's in-flight tokens, which stay in shared memory, or of a row of
//          zeros past the row's end. The instructions are the same ones in the same order, and an element of a product depends on its
//          own row and columns only (so it is on NVIDIA's tensor cores; the row bits check says if a device is otherwise); tiles of
//          several nodes are computed once per node, and each row keeps its own. So a row decoded, prefilled or verified gives the same
//          bits.
// Numerics  scores, softmax (base 2, online within a chunk) and sums in float. bf16 queries and cache: weights are rounded to bf16 before
//          they meet the values, their sum is taken before rounding. Else FMA chains over float values.
#include "tree_attention.cuh"

#if CACHE_BF16
typedef bf16 cache;
#else
typedef float cache;
#endif
#if TENSOR
typedef bf16 query;
#else
typedef float query;
#endif

constexpr int TILE = HEAD_DIM * sizeof(cache) > 256 ? 16 : 32;
constexpr int FLIGHT_SLOTS = 64 / TILE;
constexpr int SLOTS = FLIGHT_SLOTS + 1;
constexpr int ROWS = 16 * M_TILES * WARPS;
constexpr int THREADS = WARP * WARPS;  // of a team
constexpr int PIECE = 16 / sizeof(cache);
constexpr int PIECES = HEAD_DIM / PIECE;
constexpr int LD = HEAD_DIM + PIECE;  // padded: eight rows' 16 bytes touch all banks once
constexpr int LDQ = HEAD_DIM + 16 / sizeof(query);
constexpr int REGION = SLOTS * TILE * LD;
constexpr int RING = 2 * REGION + LD;  // keys, values, a row of zeros
constexpr int ZERO_VALUE = SLOTS * TILE;
constexpr int ZERO_KEY = 2 * ZERO_VALUE;
constexpr int NT = TILE / 8;
constexpr int DT = HEAD_DIM / 8;
constexpr int NO_TOKEN = -2147483647;
// Tokens from a multiple of RUN on lie side by side in the cache where a page holds a multiple of them.
constexpr int RUN_SHIFT = 4;
constexpr int RUN = 1 << RUN_SHIFT;
// A lone warp has nothing else to do while it waits, and registers; wider blocks have other warps, and no registers left.
constexpr bool LONE = TENSOR && M_TILES * WARPS == 1 && HEAD_DIM <= 128;
// Turns of the copying loop that overlap.
constexpr int COPIES_AT_ONCE = LONE ? 4 : 1;
constexpr int EVERY = 2147483647;

// Bits of flags: what the host knows of queries and out.
enum { QUERY_BF16 = 1, QUERY_WIDE = 2, OUT_PAIRS = 4 };

static_assert(TILE * PIECES % THREADS == 0, "every thread copies as many pieces");

struct TreeAttentionArgs {
    TreeRows rows;
    const void* queries;
    const cache* keys;
    void* out;
    const int* page_table;
    float* parts;
    float* states;
    Fault* fault;
    i64 query_stride;
    i64 out_stride;
    i64 page_elements;
    int table_width;
    int page_size;
    int page_shift;  // its logarithm where it is a power of two, else -1
    int pages;
    int group;
    int kv_heads;
    int spans;
    int span_chunks;
    int flags;
    float scale;  // log2(e) / sqrt(HEAD_DIM)
};

struct alignas(16) Quad {
    float at[4];
};
template <typename T> struct alignas(2 * sizeof(T)) Pair {
    T at[2];
};
template <typename T> struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

// -------------------------------------------------------------------------------------------------------------------- products
//
// `source`: lane l has the row in shared memory of the tile's column l.

#if TENSOR

// s = Q K^T for 16 M rows and a tile of columns.
template <int M> __device__ __forceinline__ void multiply_keys(float (&s)[M][NT][4], const query* queries, const cache* keys, int source) {
    int lane = threadIdx.x % WARP;
    const bf16* a = queries + (lane % 16) * LDQ + lane / 16 * 8;
    const bf16* b[TILE / 16];
#pragma unroll
    for (int j = 0; j < TILE / 16; j++) {
        b[j] = keys + __shfl_sync(FULL, source, 16 * j + lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * 8;
    }
    clear(s);
#pragma unroll 2
    for (int k = 0; k < HEAD_DIM; k += 16) {
        u32 left[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
            load_matrices<false>(left[m], a + 16 * m * LDQ + k);
        }
#pragma unroll
        for (int j = 0; j < TILE / 16; j++) {
            u32 right[4];
            load_matrices<false>(right, b[j] + k);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_16816(s[m][2 * j], left[m], right[0], right[1]);
                mma_16816(s[m][2 * j + 1], left[m], right[2], right[3]);
            }
        }
    }
}

// Weights of 16 columns as the left operand.
__device__ __forceinline__ void pack_weights(u32 (&left)[4], const float (&p)[NT][4], int j) {
    left[0] = pack_bf16(p[2 * j][0], p[2 * j][1]);
    left[1] = pack_bf16(p[2 * j][2], p[2 * j][3]);
    left[2] = pack_bf16(p[2 * j + 1][0], p[2 * j + 1][1]);
    left[3] = pack_bf16(p[2 * j + 1][2], p[2 * j + 1][3]);
}

// acc += P V.
template <int M> __device__ __forceinline__ void multiply_values(float (&acc)[M][DT][4], const float (&p)[M][NT][4], const cache* values,
                                                                 int source) {
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int j = 0; j < TILE / 16; j++) {
        u32 left[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
            pack_weights(left[m], p[m], j);
        }
        const bf16* b = values + __shfl_sync(FULL, source, 16 * j + lane % 16) * LD + lane / 16 * 8;
#pragma unroll
        for (int n = 0; n < DT; n += 2) {
            u32 right[4];
            load_matrices<true>(right, b + 8 * n);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_16816(acc[m][n], left[m], right[0], right[1]);
                mma_16816(acc[m][n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

// Weights of 16 rows, as multiply_kept takes them.
struct Weights {
    u32 at[TILE / 16][4];
};

__device__ __forceinline__ void pack_weights(Weights& weights, const float (&p)[NT][4]) {
#pragma unroll
    for (int j = 0; j < TILE / 16; j++) {
        pack_weights(weights.at[j], p, j);
    }
}

// acc += P V for 16 rows, of which those stay as they are that are not to be kept.
__device__ __forceinline__ void multiply_kept(float (&acc)[DT][4], const Weights& weights, const cache* values, int source, bool keep0,
                                              bool keep1) {
    int lane = threadIdx.x % WARP;
    const bf16* b[TILE / 16];
#pragma unroll
    for (int j = 0; j < TILE / 16; j++) {
        b[j] = values + __shfl_sync(FULL, source, 16 * j + lane % 16) * LD + lane / 16 * 8;
    }
#pragma unroll
    for (int n = 0; n < DT; n += 2) {
        if (n % 4 == 0) {
            // Loads stay on their side: started all at once they would want more registers than there are.
            __syncwarp();
        }
        u32 right[TILE / 16][4];
#pragma unroll
        for (int j = 0; j < TILE / 16; j++) {
            load_matrices<true>(right[j], b[j] + 8 * n);
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float next[4] = {acc[n + i][0], acc[n + i][1], acc[n + i][2], acc[n + i][3]};
#pragma unroll
            for (int j = 0; j < TILE / 16; j++) {
                mma_16816(next, weights.at[j], right[j][2 * i], right[j][2 * i + 1]);
            }
#pragma unroll
            for (int e = 0; e < 4; e++) {
                acc[n + i][e] = (e < 2 ? keep0 : keep1) ? next[e] : acc[n + i][e];
            }
        }
    }
}

#else

// The same with FMA chains, in the same layout.
template <int M> __device__ __forceinline__ void multiply_keys(float (&s)[M][NT][4], const query* queries, const cache* keys, int source) {
    int lane = threadIdx.x % WARP;
    const float* a = queries + lane / 4 * LDQ;
    int b[NT][2];
#pragma unroll
    for (int n = 0; n < NT; n++) {
        b[n][0] = __shfl_sync(FULL, source, 8 * n + lane % 4 * 2) * LD;
        b[n][1] = __shfl_sync(FULL, source, 8 * n + lane % 4 * 2 + 1) * LD;
    }
    clear(s);
#pragma unroll 2
    for (int k = 0; k < HEAD_DIM; k += 4) {
        Quad left[M][2];
#pragma unroll
        for (int m = 0; m < M; m++) {
            left[m][0] = *(const Quad*) (a + 16 * m * LDQ + k);
            left[m][1] = *(const Quad*) (a + (16 * m + 8) * LDQ + k);
        }
#pragma unroll
        for (int n = 0; n < NT; n++) {
            Four<cache> right[2];
            right[0] = *(const Four<cache>*) (keys + b[n][0] + k);
            right[1] = *(const Four<cache>*) (keys + b[n][1] + k);
#pragma unroll
            for (int m = 0; m < M; m++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        s[m][n][e] = __fmaf_rn(left[m][e / 2].at[i], to_float(right[e % 2].at[i]), s[m][n][e]);
                    }
                }
            }
        }
    }
}

template <int M, bool ALL> __device__ __forceinline__ void multiply_rows(float (&acc)[M][DT][4], const float (&p)[M][NT][4],
                                                                         const cache* values, int source, bool keep0, bool keep1) {
    int lane = threadIdx.x % WARP;
    values += lane % 4 * 2;
    // Eight columns a turn: all at once would want more registers than there are.
#pragma unroll 1
    for (int j = 0; j < NT; j++) {
        float weights[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                weights[m][e] = p[m][0][e];
#pragma unroll
                for (int i = 1; i < NT; i++) {
                    weights[m][e] = i == j ? p[m][i][e] : weights[m][e];
                }
            }
        }
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float weight[M][2];
#pragma unroll
            for (int m = 0; m < M; m++) {
                weight[m][0] = __shfl_sync(FULL, weights[m][k % 2], (lane & ~3) | (k / 2));
                weight[m][1] = __shfl_sync(FULL, weights[m][k % 2 + 2], (lane & ~3) | (k / 2));
                // Minus zero times zero is what leaves every sum as it is.
                weight[m][0] = ALL || keep0 ? weight[m][0] : -0.f;
                weight[m][1] = ALL || keep1 ? weight[m][1] : -0.f;
            }
            const cache* row = values + __shfl_sync(FULL, source, 8 * j + k) * LD;
            keep_order();
#pragma unroll
            for (int n = 0; n < DT; n++) {
                Pair<cache> right = *(const Pair<cache>*) (row + 8 * n);
#pragma unroll
                for (int m = 0; m < M; m++) {
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        float value = ALL || (e < 2 ? keep0 : keep1) ? to_float(right.at[e % 2]) : 0.f;
                        acc[m][n][e] = __fmaf_rn(weight[m][e / 2], value, acc[m][n][e]);
                    }
                }
            }
        }
    }
}

template <int M> __device__ __forceinline__ void multiply_values(float (&acc)[M][DT][4], const float (&p)[M][NT][4], const cache* values,
                                                                 int source) {
    multiply_rows<M, true>(acc, p, values, source, true, true);
}

struct Weights {
    float at[1][NT][4];
};

__device__ __forceinline__ void pack_weights(Weights& weights, const float (&p)[NT][4]) {
#pragma unroll
    for (int n = 0; n < NT; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            weights.at[0][n][e] = p[n][e];
        }
    }
}

__device__ __forceinline__ void multiply_kept(float (&acc)[DT][4], const Weights& weights, const cache* values, int source, bool keep0,
                                              bool keep1) {
    multiply_rows<1, false>((float (&)[1][DT][4]) acc, weights.at, values, source, keep0, keep1);
}

#endif

// Scores become weights; what was summed before shrinks to the new maximum. `sum` has only this lane's columns until the chunk's end.
template <int M> __device__ __forceinline__ void soften(float (&s)[M][NT][4], float (&acc)[M][DT][4], float (*top)[2], float (*sum)[2],
                                                        float scale) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float highest = top[m][half];
#pragma unroll
            for (int n = 0; n < NT; n++) {
                highest = fmaxf(highest, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
            }
            highest = row_max(highest);
            // A row that has seen nothing yet has weights 0, not NaN.
            float base = highest == -INFINITY ? 0.f : highest;
            float shrink = exp2_approx(__fmul_rn(__fadd_rn(top[m][half], -base), scale));
            float shift = __fmul_rn(-base, scale);
            float added = 0.f;
#pragma unroll
            for (int n = 0; n < NT; n++) {
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    s[m][n][e] = exp2_approx(__fmaf_rn(s[m][n][e], scale, shift));
                    added += s[m][n][e];
                }
            }
            top[m][half] = highest;
            sum[m][half] = __fmaf_rn(sum[m][half], shrink, added);
            // Mostly the maximum stays; a multiplication by 1 changes nothing.
            if (__any_sync(FULL, shrink != 1.f)) {
#pragma unroll
                for (int n = 0; n < DT; n++) {
                    acc[m][n][2 * half] *= shrink;
                    acc[m][n][2 * half + 1] *= shrink;
                }
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------- the block

// The request that a place belongs to, and which of its places it is. All lanes of a warp get the same.
__device__ __forceinline__ int find_request(const TreeRows& t, int group, int place, int& part) {
    int lane = threadIdx.x % WARP;
    int low = 0;
    int count = t.requests;
    while (count > 1) {
        int step = (count + WARP - 1) / WARP;
        int request = low + lane * step;
        bool begun = false;
        if (lane * step < count) {
            int first = min(max(t.first_rows[request], t.row_begin), t.row_end) - t.row_begin;
            begun = (int) ((i64) first * group / ROWS) + request <= place;
        }
        int skip = max(__popc(__ballot_sync(FULL, begun)) - 1, 0) * step;
        low += skip;
        count = min(step, count - skip);
    }
    int first = min(max(t.first_rows[low], t.row_begin), t.row_end) - t.row_begin;
    part = place - (int) ((i64) first * group / ROWS) - low;
    return low;
}

// What the nodes of the block's rows see, and what of it 16 rows have in common.
struct Nodes {
    int contexts[ROWS];
    int lengths[ROWS];
    u64 masks[ROWS];
    int strip_least_context[ROWS / 16];
    int strip_length[ROWS / 16];
};

// In shared memory, too: registers are scarce.
struct Block {
    u64 mask;        // in-flight tokens that one of its rows sees
    i64 table;       // where its sequence begins in the page table
    int committed;
    int request;
    int head;
    int first;       // number of its first row in the request
    int count;       // rows
    int first_row;   // row of the batch that holds it
    int first_node;  // number of that one in its request
    int column;      // first of the span
    int least_context;
    int most_context;
    int length;
    int chunks;      // of the span that a row sees
};

__device__ __forceinline__ int node_of(const TreeAttentionArgs& a, const Block& b, int row) {
    return (b.first + row) / a.group - b.first_node;
}

// Fills the block's shared description; false where it has nothing to do.
__device__ __forceinline__ bool find_block(const TreeAttentionArgs& a, Nodes& nodes, Block& b) {
    int part;
    int request = find_request(a.rows, a.group, blockIdx.x, part);
    int begin = min(max(a.rows.first_rows[request], a.rows.row_begin), a.rows.row_end);
    int end = min(max(a.rows.first_rows[request + 1], begin), a.rows.row_end);
    i64 packed = (i64) (end - begin) * a.group;
    if (part < 0 || (i64) part * ROWS >= packed) {
        return false;
    }
    int first = part * ROWS;
    int count = (int) min((i64) ROWS, packed - first);
    int first_node = first / a.group;
    int first_row = begin + first_node;
    int last_node = (first + count - 1) / a.group;
    for (int i = threadIdx.x; i <= last_node - first_node; i += blockDim.x) {
        RowView view;
        if (!look(a.rows, first_row + i, request, view)) {
            report(a.fault, FAULT_INDEX, first_row + i, a.rows.contexts[first_row + i]);
        }
        nodes.contexts[i] = view.context;
        nodes.lengths[i] = view.length;
        nodes.masks[i] = view.mask;
    }
    __syncthreads();
    if (threadIdx.x < WARP) {
        int least = EVERY;
        int most = 0;
        int length = 0;
        u64 mask = 0;
        for (int i = threadIdx.x; i <= last_node - first_node; i += WARP) {
            least = min(least, nodes.contexts[i]);
            most = max(most, nodes.contexts[i]);
            length = max(length, nodes.lengths[i]);
            mask |= nodes.masks[i];
        }
#pragma unroll
        for (int step = 16; step > 0; step >>= 1) {
            least = min(least, __shfl_xor_sync(FULL, least, step));
            most = max(most, __shfl_xor_sync(FULL, most, step));
            length = max(length, __shfl_xor_sync(FULL, length, step));
            mask |= __shfl_xor_sync(FULL, mask, step);
        }
        if (threadIdx.x == 0) {
            b.mask = mask;
            b.table = (i64) a.rows.sequences[request] * a.table_width;
            b.committed = a.rows.committed[request];
            b.request = request;
            b.head = blockIdx.y;
            b.first = first;
            b.count = count;
            b.first_row = first_row;
            b.first_node = first_node;
            b.column = blockIdx.z * a.span_chunks * CHUNK;
            b.least_context = least;
            b.most_context = most;
            b.length = length;
            b.chunks = min(a.span_chunks, (length - b.column + CHUNK - 1) / CHUNK);
        }
    }
    // Sixteen threads have the rows of a strip.
    int row = threadIdx.x;
    int least = EVERY;
    int length = 0;
    if (row < count) {
        int node = (first + row) / a.group - first_node;
        least = nodes.contexts[node];
        length = nodes.lengths[node];
    }
#pragma unroll
    for (int step = 8; step > 0; step >>= 1) {
        least = min(least, __shfl_xor_sync(FULL, least, step));
        length = max(length, __shfl_xor_sync(FULL, length, step));
    }
    if (row < ROWS && row % 16 == 0) {
        nodes.strip_least_context[row / 16] = least;
        nodes.strip_length[row / 16] = length;
    }
    __syncthreads();
    return b.column < b.length;
}

__device__ __forceinline__ void load_queries(const TreeAttentionArgs& a, const Block& b, query* queries, Copies& copies) {
    for (int row = threadIdx.x / WARP; row < ROWS; row += blockDim.x / WARP) {
        bool live = row < b.count;
        int packed = live ? b.first + row : b.first;
        i64 batch_row = b.first_row - b.first_node + packed / a.group;
        i64 from = batch_row * a.query_stride + (i64) (b.head * a.group + packed % a.group) * HEAD_DIM;
        query* to = queries + row * LDQ;
#if TENSOR
        const bf16* source = (const bf16*) a.queries + from;
        if (a.flags & QUERY_WIDE) {
            for (int i = threadIdx.x % WARP; i < HEAD_DIM / 8; i += WARP) {
                copies.copy16(to + 8 * i, source + 8 * i, live);
            }
        } else {
            for (int i = threadIdx.x % WARP; i < HEAD_DIM; i += WARP) {
                to[i] = live ? source[i] : bf16{0};
            }
        }
#else
        for (int i = threadIdx.x % WARP; i < HEAD_DIM; i += WARP) {
            float value = a.flags & QUERY_BF16 ? to_float(((const bf16*) a.queries)[from + i]) : ((const float*) a.queries)[from + i];
            to[i] = live ? value : 0.f;
        }
#endif
    }
}

// A chunk as a team works it off: first `ring` tiles that pass through the ring, then `gathered` ones with in-flight tokens.
struct Plan {
    int start;
    int ring;
    int gathered;
};

__device__ __forceinline__ Plan plan_chunk(const Block& b, int chunk) {
    Plan plan;
    plan.start = b.column + chunk * CHUNK;
    int tiles = max(0, min(CHUNK, b.length - plan.start) + TILE - 1) / TILE;
    plan.ring = b.mask == 0 ? tiles : min(tiles, max(0, b.least_context - plan.start) / TILE);
    plan.gathered = tiles - plan.ring;
    return plan;
}

// Lane l's token of item i of a chunk: tiles, then in-flight tokens, which are wanted where tiles are gathered. -1 where there is none.
__device__ __forceinline__ int token_place(const Block& b, const Plan& plan, int item) {
    int lane = threadIdx.x % WARP;
    if (lane >= TILE) {
        return -1;
    }
    if (item < plan.ring) {
        int place = plan.start + item * TILE + lane;
        return place < b.most_context ? place : -1;
    }
    int number = (item - plan.ring) * TILE + lane;
    bool wanted = plan.gathered > 0 && number < 64 && (b.mask >> (number & 63) & 1);
    return wanted ? b.committed + number : -1;
}

__device__ __forceinline__ int fetch_page(const TreeAttentionArgs& a, const Block& b, int place) {
    if (place < 0) {
        return NO_TOKEN;
    }
    return a.page_table[b.table + (a.page_shift < 0 ? place / a.page_size : place >> a.page_shift)];
}

// Starts to copy a thread's pieces, from number BEGIN + thread on, of the keys and values of a tile, of which the tokens of a run follow
// each other; lane l's is at `offset`. `from` is where the thread's pieces of the run begin that is being copied. Offsets that do not
// depend on the thread are part of the instruction.
template <int BEGIN> __device__ __forceinline__ void copy_runs(const TreeAttentionArgs& a, int thread, i64 offset, i64 values,
                                                               const cache* from, cache* to, Copies& copies) {
    constexpr int OF_RUN = RUN * PIECES;
    constexpr int VALUES = REGION * (int) sizeof(cache);
    constexpr bool EVEN_RUNS = OF_RUN % THREADS == 0;
    constexpr bool EVEN_ROWS = THREADS % PIECES == 0 || PIECES % THREADS == 0;
    constexpr int FROM = EVEN_RUNS ? BEGIN % OF_RUN * 16 : 0;
    constexpr int TO = EVEN_ROWS ? (BEGIN + BEGIN / PIECES) * 16 : 0;
    int piece = BEGIN + thread;
    if constexpr (!EVEN_RUNS || BEGIN % OF_RUN == 0) {
        from = a.keys + __shfl_sync(FULL, offset, piece / OF_RUN * RUN) + piece % OF_RUN * PIECE;
    }
    cache* at = to + (EVEN_ROWS ? thread + thread / PIECES : piece + piece / PIECES) * PIECE;
    copies.copy16<TO, FROM>(at, from);
    copies.copy16<TO + VALUES, FROM>(at, from + values);
    if constexpr (BEGIN + THREADS < TILE * PIECES) {
        copy_runs<BEGIN + THREADS>(a, thread, offset, values, from, to, copies);
    }
}

// Starts to copy the keys and values of the lanes' tokens, a tile's or in-flight ones, to a slot. A page that is not one is reported and
// read as zeros.
__device__ __forceinline__ void copy_tokens(const TreeAttentionArgs& a, const Block& b, bool tile, int place, int page, int slot,
                                            cache* keys, Copies& copies) {
    bool there = page >= 0 && page < a.pages;
    i64 values = (i64) a.kv_heads * a.page_size * HEAD_DIM;
    cache* to = keys + slot * TILE * LD;
    u32 thread = threadIdx.x % THREADS;
    if (!LONE) {
        recompute(thread);
    }
    if (tile && a.page_shift >= RUN_SHIFT && __all_sync(FULL, there || threadIdx.x % WARP >= TILE)) {
        i64 offset = page * a.page_elements + (i64) (b.head * a.page_size + (place & (a.page_size - 1))) * HEAD_DIM;
        copy_runs<0>(a, thread, offset, values, a.keys, to, copies);
        return;
    }
    i64 offset = -2;
    if (there) {
        offset = page * a.page_elements + ((i64) b.head * a.page_size + place % a.page_size) * HEAD_DIM;
    } else if (page != NO_TOKEN) {
        offset = -1;
        report(a.fault, FAULT_INDEX, b.first_row, page);
    }
#pragma unroll COPIES_AT_ONCE
    for (int i = thread; i < TILE * PIECES; i += THREADS) {
        int row = i / PIECES;
        i64 from = __shfl_sync(FULL, offset, row);
        if (from != -2) {
            const cache* source = a.keys + max(from, (i64) 0) + i % PIECES * PIECE;
            copies.copy16(to + (i + row) * PIECE, source, from >= 0);
            copies.copy16(to + (i + row) * PIECE + REGION, source + values, from >= 0);
        }
    }
}

// Starts to copy the first items of a chunk to an empty ring.
__device__ __forceinline__ void start_chunk(const TreeAttentionArgs& a, const Block& b, const Plan& plan, cache* keys, Copies& copies) {
    int page = fetch_page(a, b, token_place(b, plan, 0));
#pragma unroll 1
    for (int i = 0; i < SLOTS - 1; i++) {
        int next = fetch_page(a, b, token_place(b, plan, i + 1));
        copy_tokens(a, b, i < plan.ring, token_place(b, plan, i), page, i, keys, copies);
        copies.commit();
        page = next;
    }
}

// Row of keys or of values where a node's column is: in the slot of its tile, among the in-flight tokens, or nowhere: the row of zeros,
// ZERO_KEY or ZERO_VALUE.
__device__ __forceinline__ int locate(const Nodes& nodes, int node, int start, int slot, int flight, int zero) {
    int lane = threadIdx.x % WARP;
    int column = start + lane;
    if (lane >= TILE || column >= nodes.lengths[node]) {
        return zero;
    }
    int rank = column - nodes.contexts[node];
    if (rank < 0) {
        return slot * TILE + lane;
    }
    u64 mask = nodes.masks[node];
    for (; rank > 0; rank--) {
        mask &= mask - 1;
    }
    int number = __ffsll((i64) mask) - 1;
    return (flight + number / TILE) % SLOTS * TILE + number % TILE;
}

// One tile for 16 rows of which some do not see all of it as committed tokens: node by node, each row keeps what its own node gives.
__device__ __forceinline__ void gather_strip(const TreeAttentionArgs& a, const Block& b, const Nodes& nodes, int strip, int start, int slot,
                                             int flight, const query* queries, const cache* keys, float (&acc)[1][DT][4], float (*top)[2],
                                             float (*sum)[2]) {
    if (start >= nodes.strip_length[strip]) {
        return;
    }
    int lane = threadIdx.x % WARP;
    int row = 16 * strip + lane / 4;
    int node0 = row < b.count ? node_of(a, b, row) : -1;
    int node1 = row + 8 < b.count ? node_of(a, b, row + 8) : -1;
    int from = node_of(a, b, 16 * strip);
    int to = node_of(a, b, min(16 * strip + 16, b.count) - 1);
    bool whole = start + TILE <= nodes.strip_least_context[strip];
    if (whole) {
        to = from;
    }
    float s[1][NT][4];
#pragma unroll
    for (int n = 0; n < NT; n++) {
        s[0][n][0] = s[0][n][1] = s[0][n][2] = s[0][n][3] = -INFINITY;
    }
    for (int node = from; node <= to; node++) {
        int length = nodes.lengths[node];
        if (length <= start) {
            continue;
        }
        float t[1][NT][4];
        multiply_keys<1>(t, queries, keys, locate(nodes, node, start, slot, flight, ZERO_KEY));
        bool keep0 = whole || node0 == node;
        bool keep1 = whole || node1 == node;
#pragma unroll
        for (int n = 0; n < NT; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                bool seen = start + 8 * n + lane % 4 * 2 + e % 2 < length;
                s[0][n][e] = seen && (e < 2 ? keep0 : keep1) ? t[0][n][e] : s[0][n][e];
            }
        }
    }
    soften<1>(s, acc, top, sum, a.scale);
    Weights weights;
    pack_weights(weights, s[0]);
    for (int node = from; node <= to; node++) {
        if (nodes.lengths[node] > start) {
            multiply_kept(acc[0], weights, keys + REGION, locate(nodes, node, start, slot, flight, ZERO_VALUE), whole || node0 == node,
                          whole || node1 == node);
        }
    }
}

#if FOLDS

// Totals of a span in shared memory: a thread's accumulators as vectors of four, then its rows' maxima and sums, all THREADS apart.
__device__ __forceinline__ void fold_chunk(const TreeAttentionArgs& a, const Block& b, const Nodes& nodes, int strip, int start,
                                           float* totals, const float (&acc)[M_TILES][DT][4], const float (&top)[M_TILES][2],
                                           const float (&sum)[M_TILES][2]) {
    Quad* quads = (Quad*) totals + threadIdx.x % THREADS;
    float* states = totals + ROWS * HEAD_DIM + threadIdx.x % THREADS;
    bool first = start == b.column;
#pragma unroll
    for (int m = 0; m < M_TILES; m++) {
        bool sees[2];
        float weights[2];
        float part_weights[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = 16 * (strip + m) + threadIdx.x % WARP / 4 + 8 * half;
            sees[half] = row < b.count && nodes.lengths[node_of(a, b, row)] > start;
            float* state = states + (4 * m + 2 * half) * THREADS;
            if (first) {
                state[0] = top[m][half];
                state[THREADS] = sum[m][half];
            } else if (sees[half]) {
                float total_top = state[0];
                float total_sum = state[THREADS];
                join(total_top, total_sum, top[m][half], sum[m][half], a.scale, weights[half], part_weights[half]);
                state[0] = total_top;
                state[THREADS] = total_sum;
            }
        }
#pragma unroll
        for (int n = 0; n < DT; n++) {
            Quad& total = quads[(m * DT + n) * THREADS];
            if (first) {
                total = {acc[m][n][0], acc[m][n][1], acc[m][n][2], acc[m][n][3]};
            } else if (sees[0] || sees[1]) {
                Quad next = total;
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    next.at[e] = sees[e / 2] ? joined(next.at[e], weights[e / 2], acc[m][n][e], part_weights[e / 2]) : next.at[e];
                }
                total = next;
            }
        }
    }
}

__device__ __forceinline__ void load_totals(const float* totals, float (&acc)[M_TILES][DT][4], float (&top)[M_TILES][2],
                                            float (&sum)[M_TILES][2]) {
    const Quad* quads = (const Quad*) totals + threadIdx.x % THREADS;
    const float* states = totals + ROWS * HEAD_DIM + threadIdx.x % THREADS;
#pragma unroll
    for (int m = 0; m < M_TILES; m++) {
#pragma unroll
        for (int n = 0; n < DT; n++) {
            Quad total = quads[(m * DT + n) * THREADS];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                acc[m][n][e] = total.at[e];
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            top[m][half] = states[(4 * m + 2 * half) * THREADS];
            sum[m][half] = states[(4 * m + 2 * half + 1) * THREADS];
        }
    }
}

#endif

template <typename T> __device__ __forceinline__ void store_pair(T* to, bool wide, float x, float y) {
    Pair<T> pair;
    from_float(x, pair.at[0]);
    from_float(y, pair.at[1]);
    if (wide) {
        *(Pair<T>*) to = pair;
    } else {
        to[0] = pair.at[0];
        to[1] = pair.at[1];
    }
}

// Results where there is one span, else the span's part: unnormalised, with its maximum and sum.
__device__ __forceinline__ void store_rows(const TreeAttentionArgs& a, const Block& b, const Nodes& nodes, int strip,
                                           const float (&acc)[M_TILES][DT][4], const float (&top)[M_TILES][2],
                                           const float (&sum)[M_TILES][2]) {
    int c = threadIdx.x % 4;
#pragma unroll
    for (int m = 0; m < M_TILES; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int place = 16 * (strip + m) + threadIdx.x % WARP / 4 + 8 * half;
            int node = place < b.count ? node_of(a, b, place) : 0;
            if (place >= b.count || nodes.lengths[node] <= b.column) {
                continue;
            }
            int head = b.head * a.group + (b.first + place) % a.group;
            i64 row = b.first_row + node;
            if (a.spans == 1) {
                float inverse = 1.f / sum[m][half];
                i64 to = row * a.out_stride + head * HEAD_DIM + 2 * c;
#pragma unroll
                for (int n = 0; n < DT; n++) {
                    float x = acc[m][n][2 * half] * inverse;
                    float y = acc[m][n][2 * half + 1] * inverse;
                    if (TENSOR || a.flags & QUERY_BF16) {
                        store_pair((bf16*) a.out + to + 8 * n, a.flags & OUT_PAIRS, x, y);
                    } else {
                        store_pair((float*) a.out + to + 8 * n, a.flags & OUT_PAIRS, x, y);
                    }
                }
            } else {
                i64 part = ((row - a.rows.row_begin) * a.kv_heads * a.group + head) * a.spans + blockIdx.z;
#pragma unroll
                for (int n = 0; n < DT; n++) {
                    store_pair(a.parts + part * HEAD_DIM + 2 * c + 8 * n, true, acc[m][n][2 * half], acc[m][n][2 * half + 1]);
                }
                if (c == 0) {
                    store_pair(a.states + 2 * part, true, top[m][half], sum[m][half]);
                }
            }
        }
    }
}

// Blocks with heads of 128 that a multiprocessor should have registers for: it has shared memory for three of 64 rows and a chunk.
constexpr int RESIDENT = TENSOR && HEAD_DIM == 128 && M_TILES * WARPS == 4 ? 3 : 1;

extern "C" __global__ void __launch_bounds__(THREADS * TEAMS, RESIDENT) tree_attention(const __grid_constant__ TreeAttentionArgs a) {
    extern __shared__ __align__(16) u8 dynamic_shared[];
    __shared__ Nodes nodes;
    __shared__ Block b;
    if (!find_block(a, nodes, b)) {
        return;
    }
    int lane = threadIdx.x % WARP;
    int team = threadIdx.x / THREADS;
    int row_warp = threadIdx.x % THREADS / WARP;
    cache* keys = (cache*) dynamic_shared + team * RING;
    query* all_queries = (query*) ((cache*) dynamic_shared + TEAMS * RING);
    query* queries = all_queries + row_warp * M_TILES * 16 * LDQ;
    Copies copies;
    load_queries(a, b, all_queries, copies);
    for (int i = threadIdx.x % THREADS; i < LD; i += THREADS) {
        cache zero{};
        keys[ZERO_KEY * LD + i] = zero;
    }

    int strip = row_warp * M_TILES;
    float acc[M_TILES][DT][4];
    float top[M_TILES][2];
    float sum[M_TILES][2];
#if FOLDS
    float* totals = (float*) (all_queries + ROWS * LDQ);
#endif

    start_chunk(a, b, plan_chunk(b, team), keys, copies);
    for (int round = 0; round < b.chunks; round += TEAMS) {
        int ring = 0;
        int gathered = 0;
#pragma unroll
        for (int t = 0; t < TEAMS; t++) {
            Plan plan = plan_chunk(b, round + t);
            ring = max(ring, plan.ring);
            gathered = max(gathered, plan.gathered);
        }
        clear(acc);
#pragma unroll
        for (int m = 0; m < M_TILES; m++) {
            top[m][0] = top[m][1] = -INFINITY;
            sum[m][0] = sum[m][1] = 0.f;
        }

        // A page's number is fetched one item ahead of the tokens.
        Plan plan = plan_chunk(b, round + team);
        int place = token_place(b, plan, SLOTS - 1);
        int page = fetch_page(a, b, place);
        for (int i = 0; TEAMS == 1 || i < ring + gathered; i++) {
            if (!LONE) {
                // Planned again after each barrier: cheaper than to keep it in registers.
                plan = plan_chunk(b, round + team);
            }
            if (TEAMS == 1) {
                // The round's numbers are the plan's.
                ring = plan.ring;
                gathered = plan.gathered;
                if (i >= ring + gathered) {
                    break;
                }
            }
            int tile = i;
            int slot = i % SLOTS;
            bool live = i < plan.ring;
            if (i < ring) {
                copies.wait<SLOTS - 2>();
                __syncthreads();
                if (!LONE) {
                    place = token_place(b, plan, i + SLOTS - 1);
                }
                copy_tokens(a, b, i + SLOTS - 1 < plan.ring, place, page, (i + SLOTS - 1) % SLOTS, keys, copies);
                copies.commit();
                place = token_place(b, plan, i + SLOTS);
                page = fetch_page(a, b, place);
            } else {
                // In-flight tokens lie in the slots after the last tile that passed through; one slot is left, for committed tokens.
                tile = plan.ring + i - ring;
                slot = (plan.ring + FLIGHT_SLOTS) % SLOTS;
                live = i - ring < plan.gathered;
                __syncthreads();
                place = plan.start + tile * TILE + lane;
                place = live && lane < TILE && place < b.most_context ? place : -1;
                copy_tokens(a, b, live, place, fetch_page(a, b, place), slot, keys, copies);
                copies.commit();
                copies.wait<0>();
                __syncthreads();
            }
            int start = plan.start + tile * TILE;
            int least = nodes.strip_least_context[strip];
            int length = nodes.strip_length[strip];
#pragma unroll
            for (int m = 1; m < M_TILES; m++) {
                least = min(least, nodes.strip_least_context[strip + m]);
                length = max(length, nodes.strip_length[strip + m]);
            }
            if (!live || start >= length) {
                continue;
            }
            if (start + TILE <= least) {
                int source = slot * TILE + lane;
                float s[M_TILES][NT][4];
                multiply_keys<M_TILES>(s, queries, keys, source);
                soften<M_TILES>(s, acc, top, sum, a.scale);
                multiply_values<M_TILES>(acc, s, keys + REGION, source);
            } else {
                u32 first = strip;
                if (!LONE) {
                    recompute(first);
                }
#pragma unroll
                for (int m = 0; m < M_TILES; m++) {
                    gather_strip(a, b, nodes, first + m, start, slot, plan.ring, queries + 16 * m * LDQ, keys, (float (&)[1][DT][4]) acc[m],
                                 &top[m], &sum[m]);
                }
            }
        }
        copies.wait<0>();
        __syncthreads();

#pragma unroll
        for (int m = 0; m < M_TILES; m++) {
            sum[m][0] = row_sum(sum[m][0]);
            sum[m][1] = row_sum(sum[m][1]);
        }
#if FOLDS
        if (a.span_chunks > 1) {
            if (round + TEAMS < b.chunks) {
                // The next tiles come while these chunks are folded.
                start_chunk(a, b, plan_chunk(b, round + TEAMS + team), keys, copies);
            }
            // Chunks are folded in their order, one team after the other; a thread owns the same elements in every team.
#pragma unroll
            for (int t = 0; t < TEAMS; t++) {
                if (team == t && round + t < b.chunks) {
                    fold_chunk(a, b, nodes, strip, b.column + (round + t) * CHUNK, totals, acc, top, sum);
                }
                if (TEAMS > 1) {
                    __syncthreads();
                }
            }
        }
#endif
    }
#if FOLDS
    if (a.span_chunks > 1) {
        if (team > 0) {
            return;
        }
        load_totals(totals, acc, top, sum);
    }
#endif
    store_rows(a, b, nodes, strip, acc, top, sum);
}
