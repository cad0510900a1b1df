// Products of one warp with tiles in shared memory, for attention in training: bf16 by tensor cores, float by FMA chains, in the same
// layout, so that one kernel text serves both. With EMULATED defined the instructions are plain code of the same meaning, register by
// register.
//
// Accumulators have the layout of mma.m16n8: of a 16 x 8 tile lane l holds, with g = l / 4 and c = l % 4, elements (g, 2c), (g, 2c + 1),
// (g + 8, 2c), (g + 8, 2c + 1). Tiles in shared memory are row-major, rows padded by 16 bytes: eight rows' 16 bytes touch all banks once.
#pragma once
#include "types.cuh"
#include "warp.cuh"

// ------------------------------------------------------------------------------------------------------------------ instructions

#ifdef EMULATED

// Copies 16 bytes to shared memory, or zeros.
__device__ __forceinline__ void copy16_async(void* to, const void* from, bool valid) {
    struct alignas(16) Block { u32 at[4]; };
    *(Block*) to = valid ? *(const Block*) from : Block{};
}
__device__ __forceinline__ void copies_commit() {}
template <int LEFT> __device__ __forceinline__ void copies_wait() {}

__device__ __forceinline__ float fast_exp2(float x) { return exp2f(x); }
__device__ __forceinline__ float fast_log2(float x) { return log2f(x); }

// Two floats rounded to bf16, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    bf16 a;
    bf16 b;
    from_float(low, a);
    from_float(high, b);
    return (u32) a.bits | ((u32) b.bits << 16);
}

// ldmatrix: four 8 x 8 matrices of 16-bit elements, lane 8 j + i names row i of matrix j.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(u32 (&r)[4], const bf16* row) {
    __shared__ const bf16* rows[16][WARP];
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    rows[warp][lane] = row;
    __syncwarp();
    for (int j = 0; j < 4; j++) {
        const bf16* const* matrix = &rows[warp][8 * j];
        int g = lane / 4;
        int c = 2 * (lane % 4);
        u32 low = TRANSPOSED ? matrix[c][g].bits : matrix[g][c].bits;
        u32 high = TRANSPOSED ? matrix[c + 1][g].bits : matrix[g][c + 1].bits;
        r[j] = low | (high << 16);
    }
    __syncwarp();
}

// mma.m16n8k16: d += a b.
__device__ __forceinline__ void mma_16816(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    __shared__ u32 operands[16][WARP][6];
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    u32* own = operands[warp][lane];
    own[0] = a[0];
    own[1] = a[1];
    own[2] = a[2];
    own[3] = a[3];
    own[4] = b0;
    own[5] = b1;
    __syncwarp();
    for (int e = 0; e < 4; e++) {
        int row = lane / 4 + 8 * (e / 2);
        int col = 2 * (lane % 4) + e % 2;
        float sum = d[e];
        for (int k = 0; k < 16; k++) {
            u32 left = operands[warp][4 * (row % 8) + (k % 8) / 2][row / 8 + 2 * (k / 8)];
            u32 right = operands[warp][4 * col + (k % 8) / 2][4 + k / 8];
            sum = fmaf(__uint_as_float((k % 2 ? left >> 16 : left) << 16), __uint_as_float((k % 2 ? right >> 16 : right) << 16), sum);
        }
        d[e] = sum;
    }
    __syncwarp();
}

#else

// Copies 16 bytes to shared memory, or zeros.
__device__ __forceinline__ void copy16_async(void* to, const void* from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((u32) __cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> __device__ __forceinline__ void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }

// Two units in the last place; subnormal results are 0.
__device__ __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float fast_log2(float x) { return log2f(x); }

// Two floats rounded to bf16, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

// ldmatrix: four 8 x 8 matrices of 16-bit elements, lane 8 j + i names row i of matrix j.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(u32 (&r)[4], const bf16* row) {
    u32 at = (u32) __cvta_generic_to_shared(row);
    if (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    }
}

// mma.m16n8k16: d += a b.
__device__ __forceinline__ void mma_16816(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif

// ---------------------------------------------------------------------------------------------------------------------- products

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

// Over the four lanes that share an accumulator row.
__device__ __forceinline__ float row_sum(float x) {
    x += __shfl_xor_sync(FULL, x, 1);
    return x + __shfl_xor_sync(FULL, x, 2);
}
__device__ __forceinline__ float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(FULL, x, 1));
    return fmaxf(x, __shfl_xor_sync(FULL, x, 2));
}
