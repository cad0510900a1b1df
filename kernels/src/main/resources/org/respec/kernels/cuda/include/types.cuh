// Storage types and vector access. No CUDA toolkit header is needed: NVRTC has built-in vector types, bf16 is ours.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// NVRTC has no <math.h>.
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

// A bfloat16 in memory: the upper half of a float.
struct bf16 {
    u16 bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float(((u32) x.bits) << 16); }

// Rounds to nearest even; NaN stays NaN.
__device__ __forceinline__ void from_float(float x, float& out) { out = x; }
__device__ __forceinline__ void from_float(float x, bf16& out) {
    u32 bits = __float_as_uint(x);
    u32 rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    out.bits = (u16) (((bits & 0x7fffffffu) > 0x7f800000u ? (bits | 0x400000u) : rounded) >> 16);
}

// 16 bytes of T, loaded and stored at once; addresses must be aligned to 16.
template <typename T> struct alignas(16) pack16 {
    static constexpr int N = 16 / sizeof(T);
    T at[N];
};

template <typename T> __device__ __forceinline__ bool aligned16(const T* p) { return ((u64) p & 15) == 0; }

// Specialisation: STORAGE is bf16 where the launch class defines BF16=1, else float.
#if defined(BF16) && BF16
typedef bf16 storage;
#else
typedef float storage;
#endif
