// Puts together what tree_attention made of the spans of each row's columns.
//
// Shapes   parts [rows x heads x spans x head_dim], states [rows x heads x spans x (maximum, sum)], out [rows x heads * head_dim], float
//          or bf16 (out_bf16).
// Cost     reads head_dim + 2 floats for each span that a row sees, mostly from L2, where they have just been written; writes out.
// Launch   head_dim / 4 threads a row and head, 4 elements each; blocks of 128 threads.
// Numerics chunks of a span of SPAN_CHUNKS from the left, then spans from the left, with the arithmetic of tree_attention: the same bits
//          whether a block was given a chunk or a span.
// Latency  the loads of SPAN_CHUNKS parts wait together: 65 chunks of a long context are 9 rounds of memory's latency.
#include "tree_attention.cuh"

struct TreeAttentionMergeArgs {
    TreeRows rows;
    const float* parts;
    const float* states;
    void* out;
    i64 out_stride;
    int heads;
    int head_dim;
    int spans;
    int span_chunks;  // 1 or SPAN_CHUNKS
    int out_bf16;
    float scale;  // log2(e) / sqrt(head_dim)
};

struct alignas(16) Quad {
    float at[4];
};

struct alignas(8) State {
    float top;
    float sum;
};

// A part of a row: four elements and the softmax that they belong to.
struct Part {
    Quad values;
    float top;
    float sum;
};

// Nothing changes where the part is not there: cheaper than a branch for each.
__device__ __forceinline__ void join_part(Part& total, const Part& part, bool there, float scale) {
    Part next = total;
    float weight;
    float part_weight;
    join(next.top, next.sum, part.top, part.sum, scale, weight, part_weight);
#pragma unroll
    for (int e = 0; e < 4; e++) {
        next.values.at[e] = joined(next.values.at[e], weight, part.values.at[e], part_weight);
    }
    total = there ? next : total;
}

extern "C" __global__ void __launch_bounds__(128) tree_attention_merge(const __grid_constant__ TreeAttentionMergeArgs a) {
    int threads = a.head_dim / 4;
    i64 item = (i64) blockIdx.x * (blockDim.x / threads) + threadIdx.x / threads;
    if (threadIdx.x / threads >= blockDim.x / threads || item >= (i64) (a.rows.row_end - a.rows.row_begin) * a.heads) {
        return;
    }
    int row = a.rows.row_begin + (int) (item / a.heads);
    int head = (int) (item % a.heads);
    int request = a.rows.row_requests[row];
    RowView view;
    // Rows that are no request's, or whose numbers tree_attention has reported, have no parts.
    if (request < 0 || request >= a.rows.requests || row < a.rows.first_rows[request] || row >= a.rows.first_rows[request + 1]
        || !look(a.rows, row, request, view)) {
        return;
    }
    int at = threadIdx.x % threads * 4;
    const float* parts = a.parts + item * a.spans * a.head_dim + at;
    const float* states = a.states + item * a.spans * 2;
    int columns = CHUNK * a.span_chunks;
    int count = (view.length + columns - 1) / columns;
    Part total;
    for (int begin = 0; begin < count; begin += SPAN_CHUNKS) {
        // All loads are on their way before the first is waited for; past the end the last part is loaded again.
        Part loaded[SPAN_CHUNKS];
#pragma unroll
        for (int i = 0; i < SPAN_CHUNKS; i++) {
            int from = min(begin + i, count - 1);
            loaded[i].values = *(const Quad*) (parts + (i64) from * a.head_dim);
            State state = *(const State*) (states + 2 * from);
            loaded[i].top = state.top;
            loaded[i].sum = state.sum;
        }
        Part first = loaded[0];
        if (a.span_chunks == 1) {
            // These are the chunks of a span.
#pragma unroll
            for (int i = 1; i < SPAN_CHUNKS; i++) {
                join_part(first, loaded[i], begin + i < count, a.scale);
            }
        }
        if (begin == 0) {
            total = first;
        } else {
            join_part(total, first, true, a.scale);
        }
        if (a.span_chunks > 1) {
#pragma unroll
            for (int i = 1; i < SPAN_CHUNKS; i++) {
                join_part(total, loaded[i], begin + i < count, a.scale);
            }
        }
    }
    float inverse = 1.f / total.sum;
    i64 to = row * a.out_stride + (i64) head * a.head_dim + at;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        float value = total.values.at[e] * inverse;
        if (a.out_bf16) {
            from_float(value, ((bf16*) a.out)[to + e]);
        } else {
            ((float*) a.out)[to + e] = value;
        }
    }
}
