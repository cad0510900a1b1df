// Shares a step's verify nodes out among the draft trees: sets every request's budget so that together they keep the `total` candidates
// with the highest scores of all pools, at most `each` of a request; ties go to the earlier request.
//
// Shapes   pool_scores [requests x 456], pool_counts and budgets [requests].
// Cost     pools are read 33 times, out of L1 or L2: 64 requests with 14 candidates are 3.5 KiB. Latency is all there is.
// Launch   one block of 1024 threads, a warp a request, in rounds where there are more than 32. The least score kept is found bit by bit:
//          the largest that `total` candidates reach, those past `each` of a request not counted. Then one warp hands out the ties.
// Numerics integers and comparisons only: exact.
#include "faults.cuh"
#include "math.cuh"
#include "types.cuh"
#include "warp.cuh"

constexpr int POOL = 456;
constexpr int THREADS = 1024;
// A budget in the making: those over the least score in the low bits, ties above them.
constexpr int TIES = 8;

struct DraftBudgetsArgs {
    const float* pool_scores;
    const int* pool_counts;
    int* budgets;
    Fault* fault;
    int requests;
    int total;
    int each;
};

// Candidates of request r, none where its pool is broken.
__device__ __forceinline__ int pool_of(const DraftBudgetsArgs& a, int r) {
    int count = a.pool_counts[r];
    return count < 0 || count > POOL ? 0 : count;
}

// How many keys of request r reach `least`, at most `each`; for the whole warp.
__device__ __forceinline__ int reach(const DraftBudgetsArgs& a, int r, u32 least) {
    int count = pool_of(a, r);
    const float* scores = a.pool_scores + (i64) r * POOL;
    int found = 0;
    for (int first = 0; first < count; first += WARP) {
        int i = first + threadIdx.x % WARP;
        found += __popc(__ballot_sync(FULL, i < count && ordered(scores[i]) >= least));
    }
    return min(found, a.each);
}

extern "C" __global__ void __launch_bounds__(THREADS) draft_budgets(const __grid_constant__ DraftBudgetsArgs a) {
    __shared__ int reached[2];
    int lane = threadIdx.x % WARP;
    int warp = threadIdx.x / WARP;
    if (threadIdx.x < 2) {
        reached[threadIdx.x] = 0;
    }
    for (int r = threadIdx.x; r < a.requests; r += THREADS) {
        if (a.pool_counts[r] < 0 || a.pool_counts[r] > POOL) {
            report(a.fault, FAULT_BUDGET, r, a.pool_counts[r]);
        }
    }
    __syncthreads();
    u32 least = 0;
    for (int bit = 31; bit >= 0; bit--) {
        u32 trial = least | 1u << bit;
        int sum = 0;
        for (int r = warp; r < a.requests; r += THREADS / WARP) {
            sum += reach(a, r, trial);
        }
        // The two counters take turns: one is summed up while the other is cleared.
        if (lane == 0) {
            atomicAdd(&reached[bit & 1], sum);
        }
        if (threadIdx.x == 0) {
            reached[~bit & 1] = 0;
        }
        __syncthreads();
        least = reached[bit & 1] >= a.total ? trial : least;
        __syncthreads();
    }
    // No candidate is over the largest key there is.
    bool last = least == 0xffffffffu;
    if (threadIdx.x == 0) {
        reached[0] = 0;
    }
    __syncthreads();
    for (int r = warp; r < a.requests; r += THREADS / WARP) {
        int over = last ? 0 : reach(a, r, least + 1);
        int ties = reach(a, r, least) - over;
        if (lane == 0) {
            a.budgets[r] = over | ties << TIES;
            atomicAdd(&reached[0], over);
        }
    }
    __syncthreads();
    if (warp > 0) {
        return;
    }
    int left = a.total - reached[0];
    for (int first = 0; first < a.requests; first += WARP) {
        int r = first + lane;
        int packed = r < a.requests ? a.budgets[r] : 0;
        int ties = packed >> TIES;
        int before = ties;
#pragma unroll
        for (int step = 1; step < WARP; step <<= 1) {
            int other = __shfl_up_sync(FULL, before, step);
            before += lane >= step ? other : 0;
        }
        int sum = __shfl_sync(FULL, before, WARP - 1);
        before -= ties;
        if (r < a.requests) {
            a.budgets[r] = (packed & ((1 << TIES) - 1)) + max(0, min(ties, left - before));
        }
        left -= sum;
    }
}
