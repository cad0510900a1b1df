// PTX helpers: the only place for inline PTX. With EMULATED defined they are host code of the same meaning.
#pragma once
#include "types.cuh"

// 2^x by the special function unit: 2 ulp, results under the smallest normal float are 0.
__device__ __forceinline__ float exp2_approx(float x) {
#ifdef EMULATED
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// Two floats rounded to the nearest bf16, ties to even, in one word: `low` in its lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
#ifdef EMULATED
    bf16 l;
    bf16 h;
    from_float(low, l);
    from_float(high, h);
    return (u32) l.bits | (u32) h.bits << 16;
#else
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#endif
}

// log2 x by the special function unit, x normal: error 2^-22, absolute for x from 1/2 to 2, relative outside.
__device__ __forceinline__ float log2_approx(float x) {
#ifdef EMULATED
    return log2f(x);
#else
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}
