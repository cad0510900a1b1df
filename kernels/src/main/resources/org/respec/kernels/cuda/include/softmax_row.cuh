// Running maximum and mass of a softmax, by each thread over its own share of a row.
#pragma once
#include "ptx.cuh"

constexpr float LOG2_E = 1.44269504f;

// Takes N more values.
template <int N> __device__ __forceinline__ void take(const float (&z)[N], float& top, float& mass) {
    float largest = z[0];
#pragma unroll
    for (int i = 1; i < N; i++) {
        largest = fmaxf(largest, z[i]);
    }
    if (largest > top) {
        mass *= exp2_approx((top - largest) * LOG2_E);
        top = largest;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        // Minus infinity while the thread has seen nothing else: nothing is added to nothing.
        mass += z[i] == -INFINITY ? 0.f : exp2_approx((z[i] - top) * LOG2_E);
    }
}
