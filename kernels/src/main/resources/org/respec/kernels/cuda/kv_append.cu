// Writes the key and value heads of fused query-key-value rows to their slots in one layer of the paged cache.
//
// Shapes   qkv [rows x (heads + 2 kv_heads) dim] with a row stride, float or bf16 (BF16=1); layer [pages][K|V][kv_heads][page_size][dim],
//          float or bf16 (CACHE_BF16=1); slots I32 [rows], slot = page * page_size + offset. Slots of one call are distinct.
// Cost     reads rows * 2 * kv_heads * dim * sizeof(storage) bytes, writes as many elements of the cache; no FLOPs.
// Launch   rows * tiles blocks of up to 256 threads, eight elements a thread.
// Numerics copied, or rounded to nearest even. A slot out of the cache, -1 included, is reported and its row left out.
#include "faults.cuh"
#include "packs.cuh"

#if CACHE_BF16
typedef bf16 cached;
#else
typedef float cached;
#endif

struct KvAppendArgs {
    const storage* qkv;
    cached* layer;
    const int* slots;
    Fault* fault;
    i64 qkv_stride;
    int key_column;
    int kv_heads;
    int dim;
    int page_size;
    int slot_count;
    u32 tiles;
};

constexpr int N = 8;

extern "C" __global__ void kv_append(const __grid_constant__ KvAppendArgs a) {
    int row = blockIdx.x / a.tiles;
    u32 tile = blockIdx.x % a.tiles;
    int slot = a.slots[row];
    if (slot < 0 || slot >= a.slot_count) {
        if (threadIdx.x == 0 && tile == 0) {
            report(a.fault, FAULT_INDEX, row, slot);
        }
        return;
    }
    int runs = (a.dim + N - 1) / N;
    int unit = tile * blockDim.x + threadIdx.x;
    // Keys and then values follow each other in the row as in the page.
    int part = unit / runs;
    int d = unit % runs * N;
    if (part >= 2 * a.kv_heads) {
        return;
    }
    i64 head = (i64) a.page_size * a.dim;
    float v[N];
    load_run<N>(a.qkv + row * a.qkv_stride + a.key_column + part * a.dim + d, a.dim - d, v);
    i64 page = (slot / a.page_size) * (2 * a.kv_heads * head);
    store_run<N>(a.layer + page + part * head + (i64) (slot % a.page_size) * a.dim + d, a.dim - d, v);
}
