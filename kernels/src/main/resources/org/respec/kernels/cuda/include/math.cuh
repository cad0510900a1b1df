// The host's exponential (FastMath.java), the same steps in the same order: the same bits on every device.
#pragma once
#include "types.cuh"

__device__ __forceinline__ float exact_exp(float x) {
    if (x < -87.33654f) {
        return 0.f;
    }
    if (x > 88.72283f) {
        return INFINITY;
    }
    if (x != x) {
        return x;
    }
    float shifted = __fmaf_rn(x, 1.44269504f, 12582912.f);
    float n = __fadd_rn(shifted, -12582912.f);
    float r = __fmaf_rn(n, 1.9046543e-9f, __fmaf_rn(n, -0.69314718f, x));
    float p = __fmaf_rn(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = __fmaf_rn(p, r, 8.3334519073e-3f);
    p = __fmaf_rn(p, r, 4.1665795894e-2f);
    p = __fmaf_rn(p, r, 1.6666665459e-1f);
    p = __fmaf_rn(p, r, 5.0000001201e-1f);
    p = __fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.f);
    return __uint_as_float(__float_as_uint(p) + (__float_as_uint(shifted) << 23));
}

// Floats as unsigned integers in the same order, both zeros as one; NaNs lie past the infinities.
__device__ __forceinline__ u32 ordered(float x) {
    u32 bits = __float_as_uint(__fadd_rn(x, 0.f));
    return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}

__device__ __forceinline__ float unordered(u32 key) {
    return __uint_as_float(key ^ (key >> 31 ? 0x80000000u : 0xffffffffu));
}

// Value and token as one integer: the largest is that of the largest value and, of equal values, of the smallest token. Never 0.
__device__ __forceinline__ u64 ranked(float value, int token) { return (u64) ordered(value) << 32 | (u32) ~token; }

__device__ __forceinline__ float ranked_value(u64 key) { return unordered((u32) (key >> 32)); }

__device__ __forceinline__ int ranked_token(u64 key) { return (int) ~(u32) key; }
