// Policy-gradient loss of each row's target token, fused: log-probability, ratio, clipping, KL term, importance weight, and the gradient
// of the weighted sum by the logits, c (onehot(target) - softmax(logits / T)) / T. `inverse` is 1 / T. With l the log-probability,
// s = old, or l itself where there is no `old`, and ratio r = exp(l - s):
//   c = w ((advantage >= 0 ? r > 1 + clip_high : r < 1 - clip_low) ? 0 : -advantage r) + w kl (1 - exp(reference - l)),
//   w = weight min(exp(s - rollout), cap), or the weight alone where there is no `rollout`.
// Rows of weight 0 become zeros with log-probability 0. Without `old`, and with advantage 1, this is cross-entropy.
//
// Shapes   logits [rows x vocab], storage float or bf16 (BF16=1); out [rows x vocab], float or bf16 (GRADIENT_BF16=1), may be logits where
//          the types are equal; both with row strides; all else [rows], `old`, `reference` and `rollout` may be null.
// Cost     2 reads of the logits and 1 write of the gradient, of which rows in L2 save a read; one write where the weight is 0.
// Launch   one block of 32 to 1024 threads a row.
// Numerics sums in float in an order that depends on the vocabulary alone; each thread keeps its own running maximum.
#include "faults.cuh"
#include "math.cuh"
#include "packs.cuh"
#include "softmax_row.cuh"
#include "warp.cuh"

#if defined(GRADIENT_BF16) && GRADIENT_BF16
typedef bf16 gradient;
#else
typedef float gradient;
#endif

struct PolicyLossArgs {
    const storage* logits;
    gradient* out;
    const int* targets;
    const float* weights;
    const float* advantages;
    const float* old;
    const float* reference;
    const float* rollout;
    float* log_probs;
    Fault* fault;
    i64 stride;
    i64 out_stride;
    int vocab;
    float inverse;
    float clip_low;
    float clip_high;
    float kl;
    float cap;
};

constexpr int N = 8;

__device__ __forceinline__ float coefficient(const PolicyLossArgs& a, int r, float weight, float log_prob) {
    float advantage = a.advantages[r];
    float anchor = a.old == nullptr ? log_prob : a.old[r];
    float ratio = exact_exp(log_prob - anchor);
    bool clipped = advantage >= 0.f ? ratio > 1.f + a.clip_high : ratio < 1.f - a.clip_low;
    float slope = clipped ? 0.f : -advantage * ratio;
    if (a.reference != nullptr) {
        slope += a.kl * (1.f - exact_exp(a.reference[r] - log_prob));
    }
    if (a.rollout != nullptr) {
        weight *= fminf(exact_exp(anchor - a.rollout[r]), a.cap);
    }
    return weight * slope;
}

extern "C" __global__ void __launch_bounds__(1024) policy_loss(const __grid_constant__ PolicyLossArgs a) {
    __shared__ float shared[WARP];
    int r = blockIdx.x;
    const storage* row = a.logits + r * a.stride;
    gradient* out = a.out + r * a.out_stride;
    int target = a.targets[r];
    if (target < 0 || target >= a.vocab) {
        if (threadIdx.x == 0) {
            report(a.fault, FAULT_INDEX, r, target);
        }
        return;
    }
    float weight = a.weights[r];
    if (weight == 0.f) {
        float zeros[N] = {};
        for (int x = threadIdx.x * N; x < a.vocab; x += blockDim.x * N) {
            store_run<N>(out + x, min(N, a.vocab - x), zeros);
        }
        if (threadIdx.x == 0) {
            a.log_probs[r] = 0.f;
        }
        return;
    }
    float top = -INFINITY;
    float mass = 0.f;
    // Read before the barriers: past them another warp may have overwritten it.
    float chosen = to_float(row[target]) * a.inverse;
    for (int x = threadIdx.x * N; x < a.vocab; x += blockDim.x * N) {
        int live = min(N, a.vocab - x);
        float z[N];
        load_run<N>(row + x, live, z);
#pragma unroll
        for (int i = 0; i < N; i++) {
            z[i] = i < live ? z[i] * a.inverse : -INFINITY;
        }
        take(z, top, mass);
    }
    float own = top;
    top = block_max(own, shared);
    mass = block_sum(own == -INFINITY ? mass : mass * exp2_approx((own - top) * LOG2_E), shared);
    if (mass != mass || fabsf(top) == INFINITY) {
        if (threadIdx.x == 0) {
            report(a.fault, fabsf(top) == INFINITY ? FAULT_LOGITS_INFINITE : FAULT_LOGITS_NAN, r, __float_as_int(top));
        }
        return;
    }
    float log_prob = chosen - top - logf(mass);
    float c = coefficient(a, r, weight, log_prob) * a.inverse;
    if (threadIdx.x == 0) {
        a.log_probs[r] = log_prob;
    }
    float share = -c / mass;
    for (int x = threadIdx.x * N; x < a.vocab; x += blockDim.x * N) {
        int live = min(N, a.vocab - x);
        float z[N];
        load_run<N>(row + x, live, z);
#pragma unroll
        for (int i = 0; i < N; i++) {
            z[i] = share * exp2_approx((z[i] * a.inverse - top) * LOG2_E);
            z[i] += x + i == target ? c : 0.f;
        }
        store_run<N>(out + x, live, z);
    }
}
