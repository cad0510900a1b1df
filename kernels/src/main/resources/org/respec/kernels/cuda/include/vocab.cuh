// One pass over a row of logits as wide as a vocabulary: a row is cut into chunks by the size of the vocabulary alone, a block takes a
// chunk and every thread holds 64 bytes of it in registers, all loads under way at once.
#pragma once
#include "math.cuh"
#include "ptx.cuh"
#include "types.cuh"
#include "warp.cuh"

// Four loads of 16 bytes.
constexpr int HELD = 4 * pack16<storage>::N;
constexpr int CHUNK_THREADS = 256;
constexpr float LOG2_E = 1.44269504f;

// Token number `i` of this thread in the chunk that begins at `first`: 16 bytes of neighbours, then the next threads' ones.
__device__ __forceinline__ int held_token(int first, int i) {
    constexpr int N = pack16<storage>::N;
    return first + (i / N * (int) blockDim.x + (int) threadIdx.x) * N + i % N;
}

// Logits times `inverse`, rounded once; -infinity past the vocabulary.
__device__ __forceinline__ void load_scaled(const storage* row, int first, int vocab, float inverse, float (&z)[HELD]) {
    constexpr int N = pack16<storage>::N;
    storage nothing;
    from_float(-INFINITY, nothing);
    pack16<storage> raw[HELD / N];
    if (aligned16(row) && vocab % N == 0) {
#pragma unroll
        for (int g = 0; g < HELD / N; g++) {
            int token = held_token(first, g * N);
            if (token < vocab) {
                raw[g] = *(const pack16<storage>*) (row + token);
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) {
                    raw[g].at[i] = nothing;
                }
            }
        }
    } else {
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            int token = held_token(first, i);
            raw[i / N].at[i % N] = nothing;
            if (token < vocab) {
                raw[i / N].at[i % N] = row[token];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        z[i] = __fmul_rn(to_float(raw[i / N].at[i % N]), inverse);
    }
}

// Sum of exp(scale * (z - top)) over the thread's tokens; `scale_log2e` is scale * log2(e). Each term is one fused multiply-add and one
// exponential; what top's product loses to rounding is given back to the sum. NaN if a value is NaN, and only then. `each(i, term)` gets
// the terms before that.
template <typename Each> __device__ __forceinline__ float held_mass(const float (&z)[HELD], float top, float scale_log2e, Each each) {
    float shift = fabsf(top) == INFINITY ? 0.f : top;
    float product = __fmul_rn(shift, scale_log2e);
    float even = 0.f;
    float odd = 0.f;
    if (fabsf(product) < 65536.f) {
#pragma unroll
        for (int i = 0; i < HELD; i += 2) {
            float one = exp2_approx(__fmaf_rn(z[i], scale_log2e, -product));
            float other = exp2_approx(__fmaf_rn(z[i + 1], scale_log2e, -product));
            each(i, one);
            each(i + 1, other);
            even += one;
            odd += other;
        }
        return (even + odd) * exp2_approx(-__fmaf_rn(shift, scale_log2e, -product));
    }
    // Logits so large that the product says nothing any more, or overflows.
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        float one = exp2_approx(__fadd_rn(z[i], -shift) * scale_log2e);
        each(i, one);
        even += one;
    }
    return even;
}

__device__ __forceinline__ float held_mass(const float (&z)[HELD], float top, float scale_log2e) {
    return held_mass(z, top, scale_log2e, [](int, float) {});
}

// What the terms of held_mass under `top` are to be multiplied with to be those under `other`.
__device__ __forceinline__ float held_factor(float top, float other, float scale_log2e) {
    float shift = fabsf(top) == INFINITY ? 0.f : top;
    float product = __fmul_rn(shift, scale_log2e);
    return exp2_approx(fabsf(product) < 65536.f ? __fmaf_rn(-other, scale_log2e, product) : __fadd_rn(shift, -other) * scale_log2e);
}

// Mass of a chunk with maximum `top`, as a part of a row with maximum `all`.
__device__ __forceinline__ float mass_share(float top, float all, float scale_log2e) {
    return top == all ? 1.f : exp2_approx((top - all) * scale_log2e);
}

// The largest over the warps of values that each warp's first lane gave to `shared`; they stand there from the next barrier on.
template <typename T> __device__ __forceinline__ T largest_of_warps(const T* shared) {
    T x = shared[0];
#pragma unroll
    for (int w = 1; w < CHUNK_THREADS / WARP; w++) {
        if (w < blockDim.x / WARP) {
            x = max(x, shared[w]);
        }
    }
    return x;
}

__device__ __forceinline__ float sum_of_warps(const float* shared) {
    float x = shared[0];
#pragma unroll
    for (int w = 1; w < CHUNK_THREADS / WARP; w++) {
        if (w < blockDim.x / WARP) {
            x += shared[w];
        }
    }
    return x;
}

__device__ __forceinline__ u64 warp_largest(u64 x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        x = max(x, __shfl_xor_sync(FULL, x, step));
    }
    return x;
}

// What other blocks wrote: past the L1 cache.
template <typename T> __device__ __forceinline__ T fresh(const T* p) { return *(const volatile T*) p; }

// Counts this block as done in `counter`; true in all threads of the last of `blocks`, which then sees what the others wrote before
// this call. The last one sets the counter back for the next launch. `flag` is shared memory.
__device__ __forceinline__ bool last_block(u32* counter, u32 blocks, int* flag) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        bool last = atomicAdd(counter, 1u) == blocks - 1;
        if (last) {
            *counter = 0;
            __threadfence();
        }
        *flag = last;
    }
    __syncthreads();
    return *flag != 0;
}
