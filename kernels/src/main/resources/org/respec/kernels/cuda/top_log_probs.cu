// The k largest log-probabilities of chosen rows' softmax, the largest first (ties: the smaller token first), and the log of the mass left.
//
// Shapes   logits [any x vocab] with a row stride, storage float or bf16 (BF16=1); row_indices, tails [count]; ids, log_probs [count x k]
//          with row strides, k up to 1024.
// Cost     count * vocab * sizeof(storage) bytes for each pass: the maximum, two to find the k-th value (select.cuh), two
//          more where equal logits are cut between, and the gathering.
// Launch   one block of 32 to 1024 threads (a power of two) a row.
// Numerics the tokens are exact; the tail is the sum over the tokens left, not 1 less the sum of the others, so it keeps its precision.
#include "faults.cuh"
#include "select.cuh"

struct TopLogProbsArgs {
    const storage* logits;
    const int* row_indices;
    int* ids;
    float* log_probs;
    float* tails;
    Fault* fault;
    i64 stride;
    i64 id_stride;
    i64 log_prob_stride;
    int rows;
    int vocab;
    int k;
    float inverse;
};

// Sorts n keys, a power of two, the largest first.
__device__ __forceinline__ void sort_descending(u64* keys, int n) {
    for (int size = 2; size <= n; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int i = threadIdx.x; i < n / 2; i += blockDim.x) {
                int low = i / step * 2 * step + i % step;
                u64 first = keys[low];
                u64 second = keys[low + step];
                bool descending = (low & size) == 0;
                if (descending ? first < second : first > second) {
                    keys[low] = second;
                    keys[low + step] = first;
                }
            }
        }
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(1024) top_log_probs(const __grid_constant__ TopLogProbsArgs a) {
    __shared__ SelectMemory memory;
    __shared__ float shared[WARP];
    int r = a.row_indices[blockIdx.x];
    if (r < 0 || r >= a.rows) {
        if (threadIdx.x == 0) {
            report(a.fault, FAULT_INDEX, blockIdx.x, r);
        }
        return;
    }
    Row row = {a.logits + r * a.stride, a.vocab, a.inverse};
    float top = row_top(row, shared);
    if (top != top || fabsf(top) == INFINITY) {
        if (threadIdx.x == 0) {
            report_top(a.fault, r, top);
        }
        return;
    }
    Cut cut = {0, 0, true};
    if (a.k < a.vocab) {
        cut = select<false>(memory, row, top, a.k, 0.f, cut);
    }
    int last = last_tie(memory, row, cut);
    int slots = 2;
    while (slots < a.k) {
        slots *= 2;
    }
    u64* keys = memory.masses;
    __syncthreads();
    for (int i = threadIdx.x; i < slots; i += blockDim.x) {
        keys[i] = 0;
    }
    if (threadIdx.x == 0) {
        memory.listed = 0;
    }
    __syncthreads();
    float left = 0.f;
    row.each([&](int token, float value) {
        if (keeps(cut, last, token, ordered(value))) {
            keys[atomicAdd(&memory.listed, 1)] = ranked(value, token);
        } else {
            left += exact_exp(__fadd_rn(value, -top));
        }
    });
    sort_descending(keys, slots);
    float taken = 0.f;
    for (int i = threadIdx.x; i < a.k; i += blockDim.x) {
        taken += exact_exp(__fadd_rn(ranked_value(keys[i]), -top));
    }
    left = block_sum(left, shared);
    float total = block_sum(taken, shared) + left;
    float norm = top + logf(total);
    for (int i = threadIdx.x; i < a.k; i += blockDim.x) {
        a.ids[blockIdx.x * a.id_stride + i] = ranked_token(keys[i]);
        a.log_probs[blockIdx.x * a.log_prob_stride + i] = ranked_value(keys[i]) - norm;
    }
    if (threadIdx.x == 0) {
        a.tails[blockIdx.x] = fmaxf(-30.f, logf(fmaxf(left / total, 1e-30f)));
    }
}
