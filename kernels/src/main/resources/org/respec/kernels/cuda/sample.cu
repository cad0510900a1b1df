// Coupled sampling and log-probabilities in one read of the logits: per row the log-sum-exp of the scaled logits and, by MODE,
//   0  the largest logit (temperature 0),
//   1  the largest of scaled logit + Gumbel noise of (seed, request, position + 1, token),
//   2  a given token;
// out come the token (0, 1; ties to the smaller) and its log-probability. Filters are in sample_filtered.cu.
//
// Shapes   logits [rows x vocab] with a row stride, storage float or bf16 (BF16=1); tokens, log_probs [rows].
// Cost     rows * vocab * sizeof(storage) bytes once; with noise, where all words are drawn, 23 instructions a token (bf16, counted in
//          the code for sm_90a): 3 to scale and compare, 6 for the sum and its largest terms, 3 for a first V, 11 for words.
// Launch   a row is cut into chunks of 16 KiB (one chunk and fewer threads where that is enough), a block of 256 threads each, 64
//          bytes a thread in registers. The last block of a row to finish merges the chunks' parts in their order.
// Noise    Only few tokens need logarithms. V, a value that the row is known to reach, rules tokens out: all that a thread has, before
//          their words are drawn, where even the largest variate would not bring them to V; then groups of four by their largest word
//          and their largest term of the sum, and of the rest words under that of the variate V - z (noise.cuh: least_word). V comes
//          from the largest logit with the least variate, from cheap lower bounds of an eighth (float: a quarter) of the chunk's
//          values, and from other blocks of the row. V decides how much is computed, never what comes out: whatever could reach V is
//          evaluated in the host's own operations, so the token is the host's where the logits are. Expected for flat logits, where
//          all words are drawn: some ten evaluations a chunk.
// Numerics the token is exact; sums in float in an order that depends on the vocabulary alone: row invariant.
#include "faults.cuh"
#include "noise.cuh"
#include "vocab.cuh"

struct SamplePart {
    u64 best;
    float top;
    float mass;
};

// Zero between launches.
struct SampleRow {
    u32 done;
    u32 reached;
};

struct SampleArgs {
    const storage* logits;
    const int* positions;
    const int* row_requests;
    const i64* request_ids;
    const int* targets;
    int* tokens;
    float* log_probs;
    SamplePart* parts;
    SampleRow* states;
    Fault* fault;
    i64 stride;
    NoiseKey key;
    int vocab;
    int chunks;
    int requests;
    float inverse;
};

// Writes a row's results; one thread.
__device__ __forceinline__ void finish(const SampleArgs& a, int row, const storage* logits, u64 best, float top, float mass) {
    float log_prob = __int_as_float(0x7fffffff);
    int token = 0;
    if (mass != mass) {
        report(a.fault, FAULT_LOGITS_NAN, row, 0);
    } else if (fabsf(top) == INFINITY) {
        report(a.fault, FAULT_LOGITS_INFINITE, row, __float_as_int(top));
    } else {
        token = MODE == 2 ? a.targets[row] : ranked_token(best);
        if (token < 0 || token >= a.vocab) {
            report(a.fault, FAULT_INDEX, row, token);
            token = 0;
        } else {
            log_prob = __fmul_rn(to_float(logits[token]), a.inverse) - top - logf(mass);
        }
    }
    if (MODE != 2) {
        a.tokens[row] = token;
    }
    a.log_probs[row] = log_prob;
}

#if MODE == 1
constexpr int GROUPS = HELD / 4;
constexpr float TWO_32 = 4294967296.f;

// A value that the best of these four tokens reaches.
__device__ __forceinline__ float reached(const float (&z)[HELD], NoiseWords words) {
    float value = -INFINITY;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        value = fmaxf(value, __fadd_rn(z[i], gumbel_below(words.at[i])));
    }
    return value;
}

// One bit for each of the thread's groups of four in which a token could reach the floor. Of each group `terms` has the largest
// exp(z - top), and reach * exp(z - top) is 2^32 exp(z - floor): a word that has fewer than so many above it could (least_word).
__device__ __forceinline__ u32 candidates(const float (&terms)[GROUPS], float reach, int first, const Noise& noise, NoiseWords early) {
    float most = terms[0];
#pragma unroll
    for (int g = 1; g < GROUPS; g++) {
        most = fmaxf(most, terms[g]);
    }
    u32 found = 0;
    // The largest word of all asks for one half.
    if (most * reach > 0.49f) {
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            NoiseWords words = g == 0 ? early : noise.words(held_token(first, 4 * g));
            found |= __uint2float_rn(~words.largest()) <= terms[g] * reach ? 1u << g : 0u;
        }
    }
    return found;
}

// The best of those groups' tokens, in the host's operations.
__device__ __forceinline__ u64 evaluate(const SampleArgs& a, const storage* logits, u32 groups, float floor, int first,
                                        const Noise& noise) {
    u64 best = 0;
    while (groups != 0) {
        int token = held_token(first, (__ffs(groups) - 1) * 4);
        groups &= groups - 1;
        NoiseWords words = noise.words(token);
#pragma unroll 1
        for (int end = token + 4; token < end && token < a.vocab; token++) {
            float z = __fmul_rn(to_float(logits[token]), a.inverse);
            u32 word = words.of(token);
            if (word >= least_word(floor - z)) {
                best = max(best, ranked(__fadd_rn(z, gumbel(word)), token));
            }
        }
    }
    return best;
}
#endif

extern "C" __global__ void __launch_bounds__(CHUNK_THREADS, 4) sample(const __grid_constant__ SampleArgs a) {
    __shared__ float tops[CHUNK_THREADS / WARP];
    __shared__ float masses[CHUNK_THREADS / WARP];
#if MODE == 1
    __shared__ float floors[CHUNK_THREADS / WARP];
#endif
    __shared__ u64 bests[CHUNK_THREADS / WARP];
    __shared__ int flag;
    int row = blockIdx.x / a.chunks;
    int chunk = blockIdx.x % a.chunks;
    int first = chunk * (int) blockDim.x * HELD;
    int lane = threadIdx.x % WARP;
    int warp = threadIdx.x / WARP;
    const storage* logits = a.logits + row * a.stride;
#if MODE == 1
    // Asked for with the logits, and looked at after them.
    int owner = a.row_requests[row];
    int position = a.positions[row] + 1;
#endif
    float z[HELD];
    load_scaled(logits, first, a.vocab, a.inverse, z);
#if MODE == 1
    bool known = owner >= 0 && owner < a.requests;
    if (!known && threadIdx.x == 0) {
        report(a.fault, FAULT_INDEX, row, owner);
    }
    u64 request = known ? (u64) a.request_ids[owner] : 0;
#endif
    float top = -INFINITY;
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        top = fmaxf(top, z[i]);
    }
    top = warp_max(top);
    if (lane == 0) {
        tops[warp] = top;
    }
    __syncthreads();
    top = largest_of_warps(tops);
#if MODE == 1
    // Asked for early and read after the sum: what other blocks of the row have reached.
    float elsewhere = -INFINITY;
    float floor = __fadd_rn(top, GUMBEL_LEAST);
    if (threadIdx.x == 0 && a.chunks > 1) {
        u32 before = atomicMax(&a.states[row].reached, ordered(floor));
        elsewhere = before == 0 ? -INFINITY : unordered(before);
    }
#endif
    u64 best = 0;
#if MODE == 1
    float terms[GROUPS] = {};
    float mass = warp_sum(held_mass(z, top, LOG2_E, [&](int i, float term) { terms[i / 4] = fmaxf(terms[i / 4], term); }));
#else
    float mass = warp_sum(held_mass(z, top, LOG2_E));
#endif
#if MODE == 0
    int at = -1;
#pragma unroll
    for (int i = HELD - 1; i >= 0; i--) {
        at = z[i] == top ? i : at;
    }
    best = at < 0 ? 0 : ranked(top, held_token(first, at));
#endif
#if MODE == 1
    Noise noise(a.key, request, (u32) position);
    NoiseWords early = {};
    if (terms[0] * held_factor(top, floor, LOG2_E) * TWO_32 > 0.1f) {
        early = noise.words(held_token(first, 0));
        floor = fmaxf(floor, reached(z, early));
    }
    floor = warp_max(fmaxf(floor, elsewhere));
#endif
    if (lane == 0) {
        masses[warp] = mass;
#if MODE == 1
        floors[warp] = floor;
#endif
    }
    __syncthreads();
    mass = sum_of_warps(masses);
#if MODE == 1
    if (top > -INFINITY) {
        floor = largest_of_warps(floors);
        // Roundings of the sums of value and variate, and those that least_word asks for.
        floor -= 1e-3f + fabsf(floor) * 1e-6f;
        float reach = held_factor(top, floor, LOG2_E) * TWO_32;
        best = evaluate(a, logits, candidates(terms, reach, first, noise, early), floor, first, noise);
    }
#endif
    if (MODE != 2) {
        best = warp_largest(best);
        if (lane == 0) {
            bests[warp] = best;
        }
        __syncthreads();
        best = largest_of_warps(bests);
    }
    if (a.chunks == 1) {
        if (threadIdx.x == 0) {
            finish(a, row, logits, best, top, mass);
        }
        return;
    }
    SamplePart* parts = a.parts + (i64) row * a.chunks;
    if (threadIdx.x == 0) {
        parts[chunk] = {best, top, mass};
    }
    if (!last_block(&a.states[row].done, a.chunks, &flag) || warp != 0) {
        return;
    }
    best = 0;
    top = -INFINITY;
#pragma unroll 1
    for (int c = lane; c < a.chunks; c += WARP) {
        best = max(best, fresh(&parts[c].best));
        top = fmaxf(top, fresh(&parts[c].top));
    }
    best = warp_largest(best);
    top = warp_max(top);
    mass = 0.f;
#pragma unroll 1
    for (int c = lane; c < a.chunks; c += WARP) {
        mass += fresh(&parts[c].mass) * mass_share(fresh(&parts[c].top), top, LOG2_E);
    }
    mass = warp_sum(mass);
    if (lane == 0) {
        a.states[row].reached = 0;
        finish(a, row, logits, best, top, mass);
    }
}
