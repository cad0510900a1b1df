// Runs of elements as floats: 16 bytes at a time where the address allows it, else one by one. Both ways put the same values in the
// same places, so a sum over them does not depend on where a row lies.
#pragma once
#include "ptx.cuh"
#include "types.cuh"

template <typename T, int N> struct alignas(sizeof(T) * N) run {
    T at[N];
};

// Element N at a time fits an access of this many elements.
template <typename T, int N> constexpr int run_length = pack16<T>::N < N ? pack16<T>::N : N;

template <int N, typename T> __device__ __forceinline__ bool aligned_run(const T* p) {
    return ((u64) p & (sizeof(T) * run_length<T, N> - 1)) == 0;
}

__device__ __forceinline__ u32 bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ u32 bits_of(bf16 x) { return x.bits; }

// K runs of N elements as they lie in memory. Unpacking is a call of its own, so that all loads are under way before the first is
// waited for; until then a run takes as many registers as its bytes.
template <int N, int K, typename T> struct raw_runs {
    static constexpr int PER_WORD = 4 / sizeof(T);
    u32 words[K][N / PER_WORD];

    // Between two uses: only the words stay in registers, to be unpacked again.
    __device__ __forceinline__ void pack() {
#pragma unroll
        for (int k = 0; k < K; k++) {
#pragma unroll
            for (int i = 0; i < N / PER_WORD; i++) {
                recompute(words[k][i]);
            }
        }
    }

    __device__ __forceinline__ void unpack(int k, float (&v)[N]) const {
#pragma unroll
        for (int i = 0; i < N; i++) {
            u32 word = words[k][i / PER_WORD];
            v[i] = __uint_as_float(PER_WORD == 1 || i % 2 ? word & (PER_WORD == 1 ? ~0u : 0xffff0000u) : word << 16);
        }
    }
};

// The first `live[k]` elements at each p[k], zeros behind them. One decision for all runs: where each had its own, a load would wait for
// the one before.
template <int N, int K, typename T> __device__ __forceinline__ raw_runs<N, K, T> fetch_runs(const T* const (&p)[K], const int (&live)[K]) {
    constexpr int M = run_length<T, N>;
    constexpr int PER_WORD = raw_runs<N, K, T>::PER_WORD;
    raw_runs<N, K, T> raw;
    bool wide = true;
#pragma unroll
    for (int k = 0; k < K; k++) {
        wide = wide && aligned_run<N>(p[k]) && (live[k] >= N || live[k] <= 0);
#pragma unroll
        for (int i = 0; i < N / PER_WORD; i++) {
            raw.words[k][i] = 0;
        }
    }
    if (wide) {
#pragma unroll
        for (int k = 0; k < K; k++) {
#pragma unroll
            for (int i = 0; i < N; i += M) {
                if (live[k] > 0) {
                    run<T, M> r = *(const run<T, M>*) (p[k] + i);
                    memcpy(&raw.words[k][i / PER_WORD], &r, sizeof(r));
                }
            }
        }
    } else {
#pragma unroll
        for (int k = 0; k < K; k++) {
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (i < live[k]) {
                    raw.words[k][i / PER_WORD] |= bits_of(p[k][i]) << 16 * (i % PER_WORD);
                }
            }
        }
    }
    return raw;
}

// K runs `step` elements apart, of which `live` elements are left from p on.
template <int N, int K, typename T> __device__ __forceinline__ raw_runs<N, K, T> fetch_turns(const T* p, int live, int step) {
    const T* at[K];
    int left[K];
#pragma unroll
    for (int k = 0; k < K; k++) {
        at[k] = p + k * step;
        left[k] = live - k * step;
    }
    return fetch_runs<N>(at, left);
}

// Runs of the same length at several places.
template <int N, int K, typename T> __device__ __forceinline__ raw_runs<N, K, T> fetch_runs(const T* const (&p)[K], int live) {
    int lives[K];
#pragma unroll
    for (int k = 0; k < K; k++) {
        lives[k] = live;
    }
    return fetch_runs<N>(p, lives);
}

template <int N, int K, typename T> __device__ __forceinline__ void load_runs(const T* const (&p)[K], int live, float (&v)[K][N]) {
    raw_runs<N, K, T> raw = fetch_runs<N>(p, live);
#pragma unroll
    for (int k = 0; k < K; k++) {
        raw.unpack(k, v[k]);
    }
}

// The first `live` elements at p, zeros behind them. Several runs at once are loaded by the above.
template <int N, typename T> __device__ __forceinline__ void load_run(const T* p, int live, float (&v)[N]) {
    const T* at[1] = {p};
    int lives[1] = {live};
    fetch_runs<N>(at, lives).unpack(0, v);
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
