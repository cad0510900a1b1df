// Products of one warp with tiles in shared memory, for attention in training: bf16 by tensor cores, float by FMA chains, in the same
// layout (that of ptx.cuh), so that one kernel text serves both. Tiles are row-major, rows padded by 16 bytes: eight rows' 16 bytes touch
// all banks once.
#pragma once
#include "accumulators.cuh"

// acc[m][n] += A B^T: A the warp's 16 MT rows of a tile, B 8 NT rows of another, both K long; NT even.
template <int MT, int NT, int K, int LD>
__device__ __forceinline__ void multiply_rows(float (&acc)[MT][NT][4], const bf16* a, const bf16* b) {
    int lane = threadIdx.x % WARP;
    a += (lane % 16) * LD + lane / 16 * 8;
    b += (lane % 8 + lane / 16 * 8) * LD + lane / 8 % 2 * 8;
#pragma unroll 4
    for (int k = 0; k < K; k += 16) {
        u32 left[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) {
            load_matrices<false>(left[m], a + 16 * m * LD + k);
        }
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            u32 right[4];
            load_matrices<false>(right, b + 8 * n * LD + k);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_16816(acc[m][n], left[m], right[0], right[1]);
                mma_16816(acc[m][n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

// acc[m][n] += P B: P [16 MT x 8 KT] in accumulator layout, rounded to bf16 here, B the 8 KT rows of a tile from its column `b` on.
template <int MT, int KT, int NT, int LD>
__device__ __forceinline__ void multiply_weights(float (&acc)[MT][NT][4], const float (&p)[MT][KT][4], const bf16* b) {
    int lane = threadIdx.x % WARP;
    b += (lane % 16) * LD + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < KT; k += 2) {
        u32 left[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) {
            left[m][0] = pack_bf16(p[m][k][0], p[m][k][1]);
            left[m][1] = pack_bf16(p[m][k][2], p[m][k][3]);
            left[m][2] = pack_bf16(p[m][k + 1][0], p[m][k + 1][1]);
            left[m][3] = pack_bf16(p[m][k + 1][2], p[m][k + 1][3]);
        }
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            u32 right[4];
            load_matrices<true>(right, b + 8 * k * LD + 8 * n);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_16816(acc[m][n], left[m], right[0], right[1]);
                mma_16816(acc[m][n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

struct alignas(16) Float4 {
    float at[4];
};
struct alignas(8) Float2 {
    float at[2];
};

template <int MT, int NT, int K, int LD>
__device__ __forceinline__ void multiply_rows(float (&acc)[MT][NT][4], const float* a, const float* b) {
    int lane = threadIdx.x % WARP;
    a += lane / 4 * LD;
    b += lane % 4 * 2 * LD;
#pragma unroll 2
    for (int k = 0; k < K; k += 4) {
        Float4 left[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++) {
            left[m][0] = *(const Float4*) (a + 16 * m * LD + k);
            left[m][1] = *(const Float4*) (a + (16 * m + 8) * LD + k);
        }
#pragma unroll
        for (int n = 0; n < NT; n++) {
            Float4 right[2];
            right[0] = *(const Float4*) (b + 8 * n * LD + k);
            right[1] = *(const Float4*) (b + (8 * n + 1) * LD + k);
#pragma unroll
            for (int m = 0; m < MT; m++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        acc[m][n][e] = fmaf(left[m][e / 2].at[i], right[e % 2].at[i], acc[m][n][e]);
                    }
                }
            }
        }
    }
}

template <int MT, int KT, int NT, int LD>
__device__ __forceinline__ void multiply_weights(float (&acc)[MT][NT][4], const float (&p)[MT][KT][4], const float* b) {
    int lane = threadIdx.x % WARP;
    b += lane % 4 * 2;
#pragma unroll
    for (int k = 0; k < 8 * KT; k++) {
        float weight[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++) {
            weight[m][0] = __shfl_sync(FULL, p[m][k / 8][k % 2], (lane & ~3) | (k % 8 / 2));
            weight[m][1] = __shfl_sync(FULL, p[m][k / 8][k % 2 + 2], (lane & ~3) | (k % 8 / 2));
        }
#pragma unroll
        for (int n = 0; n < NT; n++) {
            Float2 right = *(const Float2*) (b + k * LD + 8 * n);
#pragma unroll
            for (int m = 0; m < MT; m++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    acc[m][n][e] = fmaf(weight[m][e / 2], right.at[e % 2], acc[m][n][e]);
                }
            }
        }
    }
}
