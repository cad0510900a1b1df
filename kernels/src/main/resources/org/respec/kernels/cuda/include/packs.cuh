// Runs of elements as floats: 16 bytes at a time where the address allows it, else one by one. Both ways put the same values in the
// same places, so a sum over them does not depend on where a row lies.
#pragma once
#include "types.cuh"

template <typename T, int N> struct alignas(sizeof(T) * N) run {
    T at[N];
};

// Element N at a time fits an access of this many elements.
template <typename T, int N> constexpr int run_length = pack16<T>::N < N ? pack16<T>::N : N;

template <int N, typename T> __device__ __forceinline__ bool aligned_run(const T* p) {
    return ((u64) p & (sizeof(T) * run_length<T, N> - 1)) == 0;
}

// The first `live` elements at p, zeros behind them.
template <int N, typename T> __device__ __forceinline__ void load_run(const T* p, int live, float (&v)[N]) {
    constexpr int M = run_length<T, N>;
    if (live >= N && aligned_run<N>(p)) {
#pragma unroll
        for (int i = 0; i < N; i += M) {
            run<T, M> r = *(const run<T, M>*) (p + i);
#pragma unroll
            for (int j = 0; j < M; j++) {
                v[i + j] = to_float(r.at[j]);
            }
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            v[i] = i < live ? to_float(p[i]) : 0.f;
        }
    }
}

// Writes the first `live` elements.
template <int N, typename T> __device__ __forceinline__ void store_run(T* p, int live, const float (&v)[N]) {
    constexpr int M = run_length<T, N>;
    if (live >= N && aligned_run<N>(p)) {
#pragma unroll
        for (int i = 0; i < N; i += M) {
            run<T, M> r;
#pragma unroll
            for (int j = 0; j < M; j++) {
                from_float(v[i + j], r.at[j]);
            }
            *(run<T, M>*) (p + i) = r;
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i < live) {
                from_float(v[i], p[i]);
            }
        }
    }
}

// Specialisation: parameters are bf16 where the launch class defines PARAMETER_BF16=1, else float.
#if defined(PARAMETER_BF16) && PARAMETER_BF16
typedef bf16 parameter;
#else
typedef float parameter;
#endif
