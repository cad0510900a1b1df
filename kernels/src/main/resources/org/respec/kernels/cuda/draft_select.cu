// Chooses the nodes of every draft tree: of each request's pool the `budget` candidates with the highest scores (ties: the earlier), in
// pool order under the root, with parents, masks and the rows of the verify pass.
//
// Shapes   the arrays of TreeBatch and RowBatch; pool of up to 456 candidates, up to 64 nodes a request.
// Cost     a few KiB a request: latency is all there is.
// Launch   one block of 480 threads a request, a candidate a thread. The score of the last one kept is found bit by bit, 32 votes of the
//          block. Where a request's rows begin is summed by its own block over the requests before it: two integers each, out of L2.
// Numerics integers and comparisons only: exact.
#include "faults.cuh"
#include "math.cuh"
#include "page_table.cuh"
#include "types.cuh"
#include "warp.cuh"

constexpr int POOL = 456;
constexpr int MAX_NODES = 64;
constexpr int THREADS = 480;

struct DraftSelectArgs {
    const int* root_tokens;
    const int* root_positions;
    const int* sequences;
    const int* committed;
    PageTable table;
    const int* pool_tokens;
    const int* pool_parents;
    const int* pool_depths;
    const float* pool_scores;
    const int* pool_counts;
    const int* budgets;
    int* node_tokens;
    int* node_parents;
    int* node_depths;
    int* node_pool;
    u64* node_masks;
    int* node_counts;
    int* tokens;
    int* positions;
    int* slots;
    int* contexts;
    u64* masks;
    int* row_requests;
    int* first_rows;
    Fault* fault;
    int max_rows;
};

// Candidates that request r keeps, or -1 where its pool or budget is none.
__device__ __forceinline__ int kept_of(const DraftSelectArgs& a, int r) {
    int count = a.pool_counts[r];
    int budget = min(a.budgets[r], count);
    return count < 0 || count > POOL || budget < 0 || budget > MAX_NODES - 1 ? -1 : budget;
}

// Number of threads before this one whose `own` is true; `all` gets that of the block. `shared` holds 32 integers.
__device__ __forceinline__ int rank_in_block(bool own, int* shared, int& all) {
    int lane = threadIdx.x % WARP;
    int warp = threadIdx.x / WARP;
    u32 votes = __ballot_sync(FULL, own);
    if (lane == 0) {
        shared[warp] = __popc(votes);
    }
    __syncthreads();
    int rank = __popc(votes & ((1u << lane) - 1));
    all = 0;
    for (int w = 0; w < THREADS / WARP; w++) {
        rank += w < warp ? shared[w] : 0;
        all += shared[w];
    }
    __syncthreads();
    return rank;
}

extern "C" __global__ void __launch_bounds__(THREADS) draft_select(const __grid_constant__ DraftSelectArgs a) {
    __shared__ int counts[WARP];
    __shared__ int node_of[POOL];
    __shared__ int parent_of[MAX_NODES];
    int r = blockIdx.x;
    int i = threadIdx.x;
    // Where the rows begin; a request that is refused counts as its root alone.
    int before = 0;
    for (int q = i; q < r; q += THREADS) {
        before += max(kept_of(a, q), 0) + 1;
    }
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        before += __shfl_xor_sync(FULL, before, step);
    }
    if (i % WARP == 0) {
        counts[i / WARP] = before;
    }
    __syncthreads();
    before = 0;
    for (int w = 0; w < THREADS / WARP; w++) {
        before += counts[w];
    }
    __syncthreads();
    int budget = kept_of(a, r);
    int count = a.pool_counts[r];
    if (budget < 0 || before + budget + 1 > a.max_rows) {
        if (i == 0) {
            report(a.fault, FAULT_BUDGET, r, budget < 0 ? (count < 0 || count > POOL ? count : a.budgets[r]) : budget);
        }
        return;
    }
    i64 pool = (i64) r * POOL;
    u32 key = i < count ? ordered(a.pool_scores[pool + i]) : 0;
    bool kept = i < count;
    if (budget < count) {
        // The largest value that `budget` candidates reach or pass, from the top bit down.
        u32 least = 0;
        for (int bit = 31; bit >= 0; bit--) {
            u32 trial = least | 1u << bit;
            least = __syncthreads_count(i < count && key >= trial) >= budget ? trial : least;
        }
        int above;
        rank_in_block(i < count && key > least, counts, above);
        int ties;
        int rank = rank_in_block(i < count && key == least, counts, ties);
        kept = i < count && (key > least || (key == least && rank < budget - above));
        if (budget == 0) {
            kept = false;
        }
    }
    int all;
    int node = rank_in_block(kept, counts, all) + 1;
    if (i < POOL) {
        node_of[i] = kept ? node : 0;
    }
    __syncthreads();
    int parent = -1;
    if (kept) {
        parent = a.pool_parents[pool + i];
        // A child never beats its parent and comes after it, so a kept one's parent is kept.
        parent = parent < 0 || parent >= i ? 0 : node_of[parent];
        parent_of[node] = parent;
    }
    __syncthreads();
    // The root is written by the last thread, which has no candidate.
    bool root = i == THREADS - 1;
    if (kept || root) {
        node = root ? 0 : node;
        u64 mask = 1ull << node;
        for (int up = parent; up >= 0; up = up == 0 ? -1 : parent_of[up]) {
            mask |= 1ull << up;
        }
        int committed = a.committed[r];
        int depth = root ? 0 : a.pool_depths[pool + i];
        int token = root ? a.root_tokens[r] : a.pool_tokens[pool + i];
        int slot = a.table.slot(a.sequences[r], committed + node);
        if (slot < 0) {
            report(a.fault, FAULT_NO_PAGE, r, committed + node);
        }
        i64 at = (i64) r * MAX_NODES + node;
        a.node_tokens[at] = token;
        a.node_parents[at] = parent;
        a.node_depths[at] = depth;
        a.node_pool[at] = root ? -1 : i;
        a.node_masks[at] = mask;
        int row = before + node;
        a.tokens[row] = token;
        a.positions[row] = a.root_positions[r] + depth;
        a.slots[row] = slot;
        a.contexts[row] = committed;
        a.masks[row] = mask;
        a.row_requests[row] = r;
    }
    if (root) {
        a.node_counts[r] = budget + 1;
        a.first_rows[r] = before;
        if (r + 1 == gridDim.x) {
            a.first_rows[r + 1] = before + budget + 1;
        }
    }
}
