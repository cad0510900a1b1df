// Gradient of a weighted sum of log-probabilities, in place of the logits: c (onehot(target) - softmax(logits / T)) / T with c the row's
// coefficient; rows with c = 0 become zeros. `inverse` is 1 / T.
//
// Shapes   logits [rows x vocab] with a row stride, storage float or bf16 (BF16=1); targets, coefficients [rows].
// Cost     2 reads and 1 write of rows * vocab * sizeof(storage) bytes, of which rows in L2 save a read; one write where c = 0.
// Launch   one block of 32 to 1024 threads a row.
// Numerics sums in float in an order that depends on the vocabulary alone; each thread keeps its own running maximum.
#include "faults.cuh"
#include "softmax_row.cuh"
#include "types.cuh"
#include "warp.cuh"

struct LogProbsBackwardArgs {
    storage* logits;
    const int* targets;
    const float* coefficients;
    Fault* fault;
    i64 stride;
    int vocab;
    float inverse;
};

extern "C" __global__ void __launch_bounds__(1024) log_probs_backward(const __grid_constant__ LogProbsBackwardArgs a) {
    __shared__ float shared[WARP];
    constexpr int N = pack16<storage>::N;
    int r = blockIdx.x;
    storage* row = a.logits + r * a.stride;
    bool wide = aligned16(row) && a.vocab % N == 0;
    float coefficient = a.coefficients[r] * a.inverse;
    int target = a.targets[r];
    if (target < 0 || target >= a.vocab) {
        if (threadIdx.x == 0) {
            report(a.fault, FAULT_INDEX, r, target);
        }
        return;
    }
    float top = -INFINITY;
    float share = 0.f;
    if (coefficient != 0.f) {
        float mass = 0.f;
        if (wide) {
            for (int x = threadIdx.x * N; x < a.vocab; x += blockDim.x * N) {
                pack16<storage> raw = *(const pack16<storage>*) (row + x);
                float z[N];
#pragma unroll
                for (int i = 0; i < N; i++) {
                    z[i] = to_float(raw.at[i]) * a.inverse;
                }
                take(z, top, mass);
            }
        } else {
            for (int x = threadIdx.x; x < a.vocab; x += blockDim.x) {
                float z[1] = {to_float(row[x]) * a.inverse};
                take(z, top, mass);
            }
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
        share = -coefficient / mass;
    }
    if (wide) {
        for (int x = threadIdx.x * N; x < a.vocab; x += blockDim.x * N) {
            pack16<storage> raw = {};
            if (coefficient != 0.f) {
                raw = *(const pack16<storage>*) (row + x);
            }
#pragma unroll
            for (int i = 0; i < N; i++) {
                float p = coefficient == 0.f ? 0.f : share * exp2_approx((to_float(raw.at[i]) * a.inverse - top) * LOG2_E);
                from_float(x + i == target ? p + coefficient : p, raw.at[i]);
            }
            *(pack16<storage>*) (row + x) = raw;
        }
    } else {
        for (int x = threadIdx.x; x < a.vocab; x += blockDim.x) {
            float p = coefficient == 0.f ? 0.f : share * exp2_approx((to_float(row[x]) * a.inverse - top) * LOG2_E);
            from_float(x == target ? p + coefficient : p, row[x]);
        }
    }
}
