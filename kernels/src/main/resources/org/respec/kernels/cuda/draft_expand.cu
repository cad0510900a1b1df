// One level of every draft tree: each expanded node's `branch` best children by scaled logit + Gumbel noise of (seed, request,
// position, token) (NOISY=0: by logit), their scores (the parent's plus the log-softmax over the vocabulary of the perturbed value times
// `sharpness` and the bias of request and level, 0 at most), the request's pool and frontier, and the rows of the next draft pass.
//
// Shapes   logits [requests * rows x vocab] with a row stride, storage float or bf16 (BF16=1), rows = 1 at level 1, else branch; the
//          arrays of TreeBatch and RowBatch.
// Cost     requests * rows * vocab * sizeof(storage) bytes once; per token about 30 instructions, 4 of them special functions: the sum
//          needs every token's noise, though not its last bits.
// Launch   a row is cut into chunks of 16 KiB (one chunk and fewer threads where that is enough), a block of 256 threads each, 64 bytes
//          a thread in registers. The last block of a request to finish merges its rows, a warp each, then one warp does the tree.
// Choice   Every token gets an upper bound of its perturbed value, at most 2 * GUMBEL_DOUBT over it (noise.cuh). The branch-th largest
//          of the warps' largest bounds, less the doubt, is a value that `branch` tokens reach; what could reach it (some 20 tokens of
//          a chunk) is evaluated in the host's own operations, so the tokens and their order are the host's where the logits are.
// Numerics tokens, parents and ranks are exact; sums, from the bounds less the doubt, in float in an order that depends on the vocabulary
//          alone. Scores agree with the host's to about 2e-5, so candidates whose scores are nearer than that may change places in the
//          frontier.
#include "faults.cuh"
#include "noise.cuh"
#include "page_table.cuh"
#include "vocab.cuh"

constexpr int MAX_BRANCH = 8;
constexpr int MAX_DEPTH = 8;
constexpr int POOL = 456;
// Candidates of a chunk that are put in a list; more of them (equal values by the thousand) are found one after the other.
constexpr int LISTED = 1024;

struct DraftPart {
    u64 best[MAX_BRANCH];
    float top;
    float mass;
};

struct DraftExpandArgs {
    const storage* logits;
    const i64* request_ids;
    const int* root_positions;
    const int* sequences;
    const int* committed;
    PageTable table;
    DraftPart* parts;
    u32* done;
    const float* level_biases;
    int* pool_tokens;
    int* pool_parents;
    int* pool_ranks;
    int* pool_depths;
    float* pool_scores;
    u64* pool_masks;
    int* pool_counts;
    int* frontier;
    int* frontier_parents;
    int* tokens;
    int* positions;
    int* slots;
    int* contexts;
    u64* masks;
    int* row_requests;
    Fault* fault;
    i64 stride;
    NoiseKey key;
    int vocab;
    int chunks;
    int rows;
    int level;
    int branch;
    float inverse;
    float sharpness;
};

// A thread's largest keys, the largest first.
struct Best {
    u64 at[MAX_BRANCH];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int k = 0; k < MAX_BRANCH; k++) {
            at[k] = 0;
        }
    }

    __device__ __forceinline__ void insert(u64 key) {
#pragma unroll
        for (int k = 0; k < MAX_BRANCH; k++) {
            u64 larger = max(key, at[k]);
            key = min(key, at[k]);
            at[k] = larger;
        }
    }

    // The k-th call by all lanes of a warp returns the k-th largest of the warp's keys, which are distinct but for zeros.
    __device__ __forceinline__ u64 pop() {
        u64 largest = warp_largest(at[0]);
        bool mine = at[0] == largest;
#pragma unroll
        for (int k = 0; k + 1 < MAX_BRANCH; k++) {
            at[k] = mine ? at[k + 1] : at[k];
        }
        at[MAX_BRANCH - 1] = mine ? 0 : at[MAX_BRANCH - 1];
        return largest;
    }
};

__device__ __forceinline__ u64 exact_key(const DraftExpandArgs& a, const storage* logits, const Noise& noise, int token) {
    float value = __fmul_rn(to_float(logits[token]), a.inverse);
#if NOISY
    value = __fadd_rn(value, gumbel(noise.words(token & ~3).of(token)));
#endif
    return ranked(value, token);
}

// The chunk's best keys, maximum and mass, to `part`.
__device__ __forceinline__ void expand_chunk(const DraftExpandArgs& a, const storage* logits, int first, const Noise& noise,
                                             DraftPart* part) {
    __shared__ float tops[CHUNK_THREADS / WARP];
    __shared__ float masses[CHUNK_THREADS / WARP];
    __shared__ u64 bests[CHUNK_THREADS / WARP];
    __shared__ u64 list[LISTED];
    __shared__ int listed;
    int lane = threadIdx.x % WARP;
    int warp = threadIdx.x / WARP;
    int warps = blockDim.x / WARP;
    float s[HELD];
    load_scaled(logits, first, a.vocab, a.inverse, s);
#if NOISY
#pragma unroll
    for (int i = 0; i < HELD; i += 4) {
        NoiseWords words = noise.words(held_token(first, i));
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s[i + j] = __fadd_rn(s[i + j], gumbel_above(words.at[j]));
        }
    }
#endif
    float own = -INFINITY;
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        own = fmaxf(own, s[i]);
    }
    float top = warp_max(own);
    if (lane == 0) {
        tops[warp] = top;
    }
    if (threadIdx.x == 0) {
        listed = 0;
    }
    __syncthreads();
    top = largest_of_warps(tops);
    float mass = warp_sum(held_mass(s, top, __fmul_rn(a.sharpness, LOG2_E)));
    if (lane == 0) {
        masses[warp] = mass;
    }
    // The branch-th largest of the warps' tops; without so many warps everything is a candidate.
    float floor = -INFINITY;
    if (warps >= a.branch) {
        float mine = lane < warps ? tops[lane] : -INFINITY;
        int rank = 0;
#pragma unroll
        for (int w = 0; w < CHUNK_THREADS / WARP; w++) {
            float other = __shfl_sync(FULL, mine, w);
            rank += other > mine || (other == mine && w < lane);
        }
        floor = __shfl_sync(FULL, mine, __ffs(__ballot_sync(FULL, rank == a.branch - 1)) - 1);
#if NOISY
        floor -= 2.f * GUMBEL_DOUBT + fminf(fabsf(floor), 1e37f) * 1e-6f;
#endif
    }
    if (own >= floor) {
        u32 found = 0;
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            found |= s[i] >= floor ? 1u << i : 0u;
        }
        while (found != 0) {
            int token = held_token(first, __ffs(found) - 1);
            found &= found - 1;
            if (token < a.vocab) {
                int at = atomicAdd(&listed, 1);
                if (at < LISTED) {
                    list[at] = exact_key(a, logits, noise, token);
                }
            }
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        part->top = top;
        part->mass = sum_of_warps(masses);
    }
    if (listed > LISTED) {
        u64 last = ~0ull;
        for (int k = 0; k < a.branch; k++) {
            u64 best = 0;
#pragma unroll 1
            for (int i = 0; i < HELD; i++) {
                int token = held_token(first, i);
                if (token < a.vocab) {
                    u64 key = exact_key(a, logits, noise, token);
                    best = key < last ? max(best, key) : best;
                }
            }
            best = warp_largest(best);
            if (lane == 0) {
                bests[warp] = best;
            }
            __syncthreads();
            last = largest_of_warps(bests);
            __syncthreads();
            if (threadIdx.x == 0) {
                part->best[k] = last;
            }
        }
    } else if (warp == 0) {
        Best best;
        best.clear();
        int count = listed;
#pragma unroll 1
        for (int i = lane; i < count; i += WARP) {
            best.insert(list[i]);
        }
#pragma unroll 1
        for (int k = 0; k < a.branch; k++) {
            u64 key = best.pop();
            if (lane == 0) {
                part->best[k] = key;
            }
        }
    }
}

// Appends the children of expanded node `f` of request `r` to its pool; one warp. `scores` and `parents` are for this request's warps.
__device__ __forceinline__ void append(const DraftExpandArgs& a, int r, int f, int start, float* scores, int* parents) {
    int lane = threadIdx.x % WARP;
    const DraftPart* parts = a.parts + ((i64) r * a.rows + f) * a.chunks;
    Best best;
    best.clear();
    float top = -INFINITY;
#pragma unroll 1
    for (int c = lane; c < a.chunks; c += WARP) {
        top = fmaxf(top, fresh(&parts[c].top));
    }
    top = warp_max(top);
    // Four loads under way at once.
#pragma unroll 1
    for (int i = lane; i < a.chunks * a.branch; i += 4 * WARP) {
        u64 keys[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int at = i + j * WARP;
            keys[j] = at < a.chunks * a.branch ? fresh(&parts[at / a.branch].best[at % a.branch]) : 0;
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            best.insert(keys[j]);
        }
    }
    float mass = 0.f;
#pragma unroll 1
    for (int c = lane; c < a.chunks; c += WARP) {
        mass += fresh(&parts[c].mass) * mass_share(fresh(&parts[c].top), top, __fmul_rn(a.sharpness, LOG2_E));
    }
    mass = warp_sum(mass);
#if NOISY
    top -= GUMBEL_DOUBT;
#endif
    float norm = __fmul_rn(a.sharpness, top) + logf(mass);
    int parent = -1;
    float base = 0.f;
    if (a.level > 1) {
        parent = a.frontier[(i64) r * MAX_BRANCH + f];
        if (parent < 0 || parent >= start) {
            if (lane == 0) {
                report(a.fault, FAULT_INDEX, r, parent);
            }
            parent = -1;
        } else {
            base = a.pool_scores[(i64) r * POOL + parent];
        }
    }
    u64 key = 0;
#pragma unroll 1
    for (int k = 0; k < a.branch; k++) {
        u64 popped = best.pop();
        key = k == lane ? popped : key;
    }
    if (lane < a.branch) {
        float bias = a.level_biases[r * MAX_DEPTH + a.level - 1];
        int i = f * a.branch + lane;
        i64 at = (i64) r * POOL + start + i;
        float score = base + fminf(0.f, __fmul_rn(a.sharpness, ranked_value(key)) - norm + bias);
        // A row of NaNs has fewer values than children; what stands in for them must be a token.
        a.pool_tokens[at] = key == 0 ? 0 : ranked_token(key);
        a.pool_parents[at] = parent;
        a.pool_ranks[at] = lane;
        a.pool_depths[at] = a.level;
        a.pool_scores[at] = score;
        scores[i] = score;
    }
    if (lane == 0) {
        parents[f] = parent;
    }
}

// Makes the best new candidates the frontier and fills their rows; one warp.
__device__ __forceinline__ void advance(const DraftExpandArgs& a, int r, int start, const float* scores, const int* parents) {
    int lane = threadIdx.x % WARP;
    int count = a.rows * a.branch;
    u64 low = lane < count ? ranked(scores[lane], lane) : 0;
    u64 high = lane + WARP < count ? ranked(scores[lane + WARP], lane + WARP) : 0;
    int chosen = 0;
    for (int f = 0; f < a.branch; f++) {
        u64 key = warp_largest(max(low, high));
        low = low == key ? 0 : low;
        high = high == key ? 0 : high;
        chosen = f == lane ? ranked_token(key) : chosen;
    }
    if (lane >= a.branch) {
        return;
    }
    int committed = a.committed[r];
    int in_flight = (a.level - 1) * a.branch + lane;
    int parent = parents[chosen / a.branch];
    u64 mask = (parent < 0 ? 0 : a.pool_masks[(i64) r * POOL + parent]) | 1ull << in_flight;
    i64 row = (i64) r * a.branch + lane;
    a.pool_masks[(i64) r * POOL + start + chosen] = mask;
    a.frontier[(i64) r * MAX_BRANCH + lane] = start + chosen;
    a.frontier_parents[row] = r * a.rows + chosen / a.branch;
    a.tokens[row] = a.pool_tokens[(i64) r * POOL + start + chosen];
    a.positions[row] = a.root_positions[r] + a.level - 1;
    // The deepest level is never expanded, so its places may lie past what was reserved.
    a.slots[row] = a.table.slot(a.sequences[r], committed + in_flight);
    a.contexts[row] = committed;
    a.masks[row] = mask;
    a.row_requests[row] = r;
}

extern "C" __global__ void __launch_bounds__(CHUNK_THREADS, 3) draft_expand(const __grid_constant__ DraftExpandArgs a) {
    __shared__ float scores[MAX_BRANCH * MAX_BRANCH];
    __shared__ int parents[MAX_BRANCH];
    __shared__ int flag;
    int row = blockIdx.x / a.chunks;
    int chunk = blockIdx.x % a.chunks;
    int r = row / a.rows;
    Noise noise = {a.key, (u64) a.request_ids[r], (u32) (a.root_positions[r] + a.level)};
    expand_chunk(a, a.logits + row * a.stride, chunk * (int) blockDim.x * HELD, noise, a.parts + (i64) row * a.chunks + chunk);
    if (!last_block(a.done + r, a.rows * a.chunks, &flag)) {
        return;
    }
    int start = a.level == 1 ? 0 : a.pool_counts[r];
    int count = a.rows * a.branch;
    if (start < 0 || start + count > POOL) {
        if (threadIdx.x == 0) {
            report(a.fault, FAULT_BUDGET, r, start);
        }
        return;
    }
    for (int f = threadIdx.x / WARP; f < a.rows; f += blockDim.x / WARP) {
        append(a, r, f, start, scores, parents);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        a.pool_counts[r] = start + count;
    }
    if (threadIdx.x < WARP) {
        advance(a, r, start, scores, parents);
    }
}
