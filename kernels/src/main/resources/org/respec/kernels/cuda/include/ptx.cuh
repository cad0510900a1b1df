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
