// Coupled sampling with top-k and top-p: keeps of each row's scaled logits the `top_k` largest (0: all), of those the fewest that hold
// `top_p` of their mass, and takes the largest of scaled logit + Gumbel noise; its log-probability is that among the kept.
//
// Shapes   logits [rows x vocab] with a row stride, storage float or bf16 (BF16=1); tokens, log_probs [rows].
// Cost     rows * vocab * sizeof(storage) bytes for each pass: the maximum, two for each filter (select.cuh), two more where
//          equal logits are cut between, and the draw. Noise is computed for kept tokens only.
// Launch   one block of 32 to 1024 threads (a power of two) a row.
// Numerics top-k is exact. Masses are the host's exponentials in units of 2^-40 and added exactly, where the host adds doubles: a top-p
//          cut can differ from the host's only where the mass reaches top_p to within 1e-10. The token is exact for the kept set.
#include "faults.cuh"
#include "noise.cuh"
#include "select.cuh"

struct SampleFilteredArgs {
    const storage* logits;
    const int* positions;
    const int* row_requests;
    const i64* request_ids;
    int* tokens;
    float* log_probs;
    Fault* fault;
    i64 stride;
    NoiseKey key;
    int vocab;
    int requests;
    int top_k;
    float top_p;
    float inverse;
};

extern "C" __global__ void __launch_bounds__(1024) sample_filtered(const __grid_constant__ SampleFilteredArgs a) {
    __shared__ SelectMemory memory;
    __shared__ float shared[WARP];
    int r = blockIdx.x;
    Row row = {a.logits + r * a.stride, a.vocab, a.inverse};
    int owner = a.row_requests[r];
    bool known = owner >= 0 && owner < a.requests;
    float top = row_top(row, shared);
    if (!known || top != top || fabsf(top) == INFINITY) {
        if (threadIdx.x == 0) {
            report_top(a.fault, r, top);
            if (!known) {
                report(a.fault, FAULT_INDEX, r, owner);
            }
            a.tokens[r] = 0;
            a.log_probs[r] = __int_as_float(0x7fffffff);
        }
        return;
    }
    Cut cut = {0, 0, true};
    if (a.top_k > 0 && a.top_k < a.vocab) {
        cut = select<false>(memory, row, top, a.top_k, 0.f, cut);
    }
    if (a.top_p < 1.f) {
        cut = select<true>(memory, row, top, 0, a.top_p, cut);
    }
    int last = last_tie(memory, row, cut);
    Noise noise = {a.key, (u64) a.request_ids[owner], (u32) (a.positions[r] + 1)};
    float mass = 0.f;
    u64 best = 0;
    row.each([&](int token, float value) {
        if (keeps(cut, last, token, ordered(value))) {
            mass += exact_exp(__fadd_rn(value, -top));
            u32 word = noise.words(token & ~3).of(token);
            best = max(best, ranked(__fadd_rn(value, gumbel(word)), token));
        }
    });
    mass = block_sum(mass, shared);
    best = warp_largest(best);
    if (threadIdx.x % WARP == 0) {
        memory.sums[threadIdx.x / WARP] = best;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < (int) blockDim.x / WARP; w++) {
            best = max(best, memory.sums[w]);
        }
        a.tokens[r] = ranked_token(best);
        a.log_probs[r] = row.value(ranked_token(best)) - top - logf(mass);
    }
}
