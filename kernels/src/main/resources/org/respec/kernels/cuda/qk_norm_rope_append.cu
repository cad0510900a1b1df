// Between a layer's projection and its attention, in one pass over the fused query-key-value rows: queries are RMS-normalised and rotated
// in place, keys likewise and written to their slots in one layer of the paged cache, values written there as they are. The rows' own key
// and value parts stay as they were: attention reads those from the cache.
//
// Shapes   qkv [rows x (heads + 2 kv_heads) dim], a row stride, float or bf16 (BF16=1); weights [dim], float or bf16 (PARAMETER_BF16=1);
//          positions, slots I32 [rows]; rope float [rope_rows x dim], cosines then sines; layer [pages][K|V][kv_heads][page_size][dim],
//          float or bf16 (CACHE_BF16=1), slot = page * page_size + offset. dim even and up to 2 * 32 * N. Slots of one call are distinct.
// Cost     reads (heads + 2 kv_heads) dim and writes heads * dim elements of a row and 2 kv_heads * dim of the cache: (2 heads +
//          4 kv_heads) dim, where qk_norm_rope in place and kv_append move (2 heads + 6 kv_heads) dim in two launches. With 32 heads
//          over 8 that is 96 heads a row for 112. The row of the rope table, 4 * dim bytes, comes from L1 or L2 for all heads but the
//          first; about 10 FLOPs an element.
// Launch   a team of 1 to 32 lanes a head, each with a run of 16 bytes of either half; rows * tiles blocks of 128 threads.
// Numerics those of qk_norm_rope and kv_append, bit for bit: what goes to the cache is rounded to the rows' type first. A position out of
//          the table or a slot out of the cache, -1 included, is reported and its row left out, whole.
#include "faults.cuh"
#include "head_rope.cuh"

#if CACHE_BF16
typedef bf16 cached;
#else
typedef float cached;
#endif

struct QkNormRopeAppendArgs {
    storage* qkv;
    cached* layer;
    const parameter* q_weight;
    const parameter* k_weight;
    const int* positions;
    const int* slots;
    const float* rope;
    Fault* fault;
    i64 qkv_stride;
    i64 rope_stride;
    int heads;
    int kv_heads;
    int dim;
    int team_bits;
    int rope_rows;
    int page_size;
    int slot_count;
    float eps;
    u32 tiles;
};

__device__ __forceinline__ void rounded(float (&v)[N]) {
#pragma unroll
    for (int j = 0; j < N; j++) {
        storage s;
        from_float(v[j], s);
        v[j] = to_float(s);
    }
}

extern "C" __global__ void qk_norm_rope_append(const __grid_constant__ QkNormRopeAppendArgs a) {
    int row = blockIdx.x / a.tiles;
    u32 tile = blockIdx.x % a.tiles;
    int half = a.dim / 2;
    HeadPart part = head_part(a, tile);
    storage* row_head = a.qkv + row * a.qkv_stride + part.head * a.dim + part.i;
    raw_runs<N, 2, storage> head = fetch_halves((const storage*) row_head, half, part.live);
    int position = a.positions[row];
    int slot = a.slots[row];
    bool placed = position >= 0 && position < a.rope_rows;
    if (!placed || slot < 0 || slot >= a.slot_count) {
        if (threadIdx.x == 0 && tile == 0) {
            report(a.fault, FAULT_INDEX, row, placed ? slot : position);
        }
        return;
    }
    float low[N];
    float high[N];
    if (!turned_head(a, part, head, position, low, high)) {
        return;
    }
    if (part.head < a.heads) {
        store_run<N>(row_head, part.live, low);
        store_run<N>(row_head + half, part.live, high);
        return;
    }
    rounded(low);
    rounded(high);
    // Keys and then values follow each other in the page as in the row.
    i64 head_size = (i64) a.page_size * a.dim;
    cached* target = a.layer + (slot / a.page_size) * (2 * a.kv_heads * head_size) + (part.head - a.heads) * head_size
        + (i64) (slot % a.page_size) * a.dim + part.i;
    store_run<N>(target, part.live, low);
    store_run<N>(target + half, part.live, high);
}
