// Puts together what tree_attention made of the spans of each row's columns.
//
// Shapes   parts [rows x heads x spans x head_dim], states [rows x heads x spans x (maximum, sum)], out [rows x heads * head_dim], float
//          or bf16 (out_bf16).
// Cost     reads head_dim + 2 floats for each span that a row sees, mostly from L2, where they have just been written; writes out.
// Launch   head_dim / 4 threads a row and head, 4 elements each; blocks of 128 threads.
// Numerics chunks of a span of SPAN_CHUNKS from the left, then spans from the left, with the arithmetic of tree_attention: the same bits
//          whether a block was given a chunk or a span.
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
    int span_chunks;
    int out_bf16;
    float scale;  // log2(e) / sqrt(head_dim)
};

struct alignas(16) Quad {
    float at[4];
};

// A part of a row: four elements and the softmax that they belong to.
struct Part {
    Quad values;
    float top;
    float sum;
};

__device__ __forceinline__ void join_part(Part& total, const Part& part, float scale) {
    float weight;
    float part_weight;
    join(total.top, total.sum, part.top, part.sum, scale, weight, part_weight);
#pragma unroll
    for (int e = 0; e < 4; e++) {
        total.values.at[e] = joined(total.values.at[e], weight, part.values.at[e], part_weight);
    }
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
    int each = SPAN_CHUNKS / a.span_chunks;
    Part total;
    Part span;
#pragma unroll 4
    for (int i = 0; i < count; i++) {
        Part part;
        part.values = *(const Quad*) (parts + (i64) i * a.head_dim);
        part.top = states[2 * i];
        part.sum = states[2 * i + 1];
        if (i % each == 0) {
            span = part;
        } else {
            join_part(span, part, a.scale);
        }
        if (i % each == each - 1 || i == count - 1) {
            if (i < each) {
                total = span;
            } else {
                join_part(total, span, a.scale);
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
