// What gemm_rows.cu needs of PTX. With EMULATED defined it is plain code of the same meaning.
#pragma once
#include "types.cuh"
#include "warp.cuh"

#ifdef EMULATED

#ifndef EMU_RAW
#define EMU_RAW
#endif

// Copies `bytes` (0 to 16) to 16 bytes of shared memory and fills up with zeros; `from` must be aligned to 16 even for none.
__device__ __forceinline__ void stage16(uint4* to, const void* from, int bytes) {
    for (int i = 0; i < 16; i++) {
        ((u8*) to)[i] = i < bytes ? ((const u8*) from)[i] : 0;
    }
}
// Copies since the last call are one group.
__device__ __forceinline__ void stage_commit() {}
// Waits until all but the last LEFT groups of this thread have landed; what it copied itself it may then read.
template <int LEFT> __device__ __forceinline__ void stage_wait() {}

// The exchange stands for wires inside the tensor core, so the emulator's checker does not watch it.
static EMU_RAW void mma_give(u32 (*operands)[6], int lane, const u32* a, u32 b0, u32 b1) {
    for (int i = 0; i < 4; i++) {
        operands[lane][i] = a[i];
    }
    operands[lane][4] = b0;
    operands[lane][5] = b1;
}

static EMU_RAW void mma_take(float* d, u32 (*operands)[6], int lane) {
    for (int e = 0; e < 4; e++) {
        int row = lane / 4;
        int col = 2 * (lane % 4) + e % 2;
        float sum = d[e];
        for (int k = 0; k < 16; k += 2) {
            u32 left = operands[4 * row + k % 8 / 2][e / 2 + k / 8 * 2];
            u32 right = operands[4 * col + k % 8 / 2][4 + k / 8];
            sum += __uint_as_float(left << 16) * __uint_as_float(right << 16);
            sum += __uint_as_float(left & 0xffff0000u) * __uint_as_float(right & 0xffff0000u);
        }
        d[e] = sum;
    }
}

// mma.m16n8k16 with bf16 operands and float sums, d += a b. Of d lane l holds, with g = l / 4 and c = l % 4, elements (g, 2c), (g, 2c + 1),
// (g + 8, 2c), (g + 8, 2c + 1). The whole warp takes part; at most 8 warps a block.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    __shared__ u32 operands[8][WARP][6];
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    u32 a[4] = {a0, a1, a2, a3};
    mma_give(operands[warp], lane, a, b0, b1);
    __syncwarp();
    mma_take(d, operands[warp], lane);
    __syncwarp();
}

#else

__device__ __forceinline__ void stage16(uint4* to, const void* from, int bytes) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"((u32) __cvta_generic_to_shared(to)), "l"(from), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void stage_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> __device__ __forceinline__ void stage_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }

__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

#endif
