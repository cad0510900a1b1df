// Fused query-key-value rows: RMS-normalises every query and key head, rotates both by RoPE in the half-split layout, copies the values.
// With n = head / sqrt(mean(head^2) + eps) * weight, half = dim / 2, and c, s the cosine and sine of the row's position for pair i:
// out[i] = n[i] c - n[i + half] s, out[i + half] = n[i + half] c + n[i] s.
//
// Shapes   qkv, out [rows x (heads + 2 kv_heads) dim], row strides, float or bf16 (BF16=1); weights [dim], float or bf16
//          (PARAMETER_BF16=1); positions I32 [rows]; rope float [rope_rows x dim], cosines then sines. out may be qkv. dim even and up to
//          2 * 32 * N.
// Cost     reads qkv and writes out once: 2 * rows * (heads + 2 kv_heads) * dim * sizeof(storage) bytes, without the values in place; the
//          row of the rope table, 4 * dim bytes, comes from L1 or L2 for all heads but the first; about 10 FLOPs an element.
// Launch   a team of 1 to 32 lanes a head, each with a run of 16 bytes of either half; rows * tiles blocks of 128 threads.
// Numerics sums in float: each lane a chain over its low and high run, then a tree over the team; a function of the head alone. A
//          position out of the table is reported and its row left as it is.
#include "faults.cuh"
#include "head_rope.cuh"

struct QkNormRopeArgs {
    const storage* qkv;
    storage* out;
    const parameter* q_weight;
    const parameter* k_weight;
    const int* positions;
    const float* rope;
    Fault* fault;
    i64 qkv_stride;
    i64 out_stride;
    i64 rope_stride;
    int heads;
    int kv_heads;
    int dim;
    int team_bits;
    int shift;
    int rope_rows;
    float eps;
    u32 tiles;
};

extern "C" __global__ void qk_norm_rope(const __grid_constant__ QkNormRopeArgs a) {
    int row = blockIdx.x / a.tiles;
    u32 tile = blockIdx.x % a.tiles;
    HeadPart part = head_part(a, tile);
    int place = part.head * a.dim + part.i;
    raw_runs<N, 2, storage> head = fetch_halves(a.qkv + row * a.qkv_stride + place, a.dim / 2, part.live);
    int position = a.positions[row] + a.shift;
    if (position < 0 || position >= a.rope_rows) {
        if (threadIdx.x == 0 && tile == 0) {
            report(a.fault, FAULT_INDEX, row, position);
        }
        return;
    }
    float low[N];
    float high[N];
    if (!turned_head(a, part, head, position, low, high)) {
        return;
    }
    storage* target = a.out + row * a.out_stride + place;
    store_run<N>(target, part.live, low);
    store_run<N>(target + a.dim / 2, part.live, high);
}
