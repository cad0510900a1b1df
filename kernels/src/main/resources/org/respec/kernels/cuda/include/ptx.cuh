// PTX helpers: the only place for inline PTX. With EMULATED defined they are plain code of the same meaning, register by register.
//
// Accumulators of mma.m16n8: of a 16 x 8 tile lane l holds, with g = l / 4 and c = l % 4, elements (g, 2c), (g, 2c + 1), (g + 8, 2c),
// (g + 8, 2c + 1). All 32 lanes of a warp must take part in load_matrices and mma_16816.
#pragma once
#include "types.cuh"
#include "warp.cuh"

#ifdef EMULATED

#ifndef EMU_RAW
#define EMU_RAW
#endif

// Copies to shared memory behind the thread's back (cp.async). What is copied may be read after `wait`, by other threads after a barrier
// as well; until then it is poison here, so that a wait that is missing shows.
struct Copies {
    static constexpr int MOST = 512;
    struct Copy {
        u8* to;
        const u8* from;
        int bytes;
        int group;
    };
    Copy pending[MOST];
    int count = 0;
    int group = 0;

    // An even number of bytes to 16, filled up with zeros to 16; `from` must be aligned to 16 even for none.
    void copy(void* to, const void* from, int bytes) {
        if (count == MOST || (((u64) to | (u64) from) & 15) != 0 || bytes % 2 != 0 || bytes > 16) {
            __trap();
        }
        pending[count++] = {(u8*) to, (const u8*) from, bytes, group};
        ((u64*) to)[0] = ((u64*) to)[1] = ~0ull;
    }

    // 16 bytes, or zeros.
    void copy16(void* to, const void* from, bool valid) { copy(to, from, valid ? 16 : 0); }

    // 16 bytes, both sides at offsets from their pointers, in bytes.
    template <int TO, int FROM> void copy16(void* to, const void* from) { copy((u8*) to + TO, (const u8*) from + FROM, 16); }

    // Copies since the last call are one group.
    void commit() { group++; }

    // Waits until all but the last LEFT groups of this thread are done.
    template <int LEFT> void wait() {
        int left = 0;
        for (int i = 0; i < count; i++) {
            Copy copy = pending[i];
            if (copy.group < group - LEFT) {
                for (int b = 0; b < 16; b += 2) {
                    *(u16*) (copy.to + b) = b < copy.bytes ? *(const u16*) (copy.from + b) : 0;
                }
            } else {
                pending[left++] = copy;
            }
        }
        count = left;
    }
};

__device__ __forceinline__ float exp2_approx(float x) { return exp2f(x); }
__device__ __forceinline__ float log2_approx(float x) { return log2f(x); }

// The compiler moves no memory access from one side to the other, which keeps an unrolled loop from loading everything first.
__device__ __forceinline__ void keep_order() {}

// What was computed from x is computed anew where it is needed after this, and takes no register until then.
__device__ __forceinline__ void recompute(u32& x) {}

// Two floats rounded to bf16, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    bf16 a;
    bf16 b;
    from_float(low, a);
    from_float(high, b);
    return (u32) a.bits | ((u32) b.bits << 16);
}

// ldmatrix.x4: four 8 x 8 matrices of 16-bit elements in shared memory; lane 8 j + i names row i of matrix j, aligned to 16 bytes.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(u32 (&r)[4], const bf16* row) {
    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int c = 2 * (lane % 4);
    if ((u64) row % 16 != 0) {
        __trap();
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (TRANSPOSED) {
            const bf16* first = (const bf16*) __shfl_sync(FULL, (u64) row, 8 * j + c);
            const bf16* second = (const bf16*) __shfl_sync(FULL, (u64) row, 8 * j + c + 1);
            r[j] = first[g].bits | ((u32) second[g].bits << 16);
        } else {
            const bf16* from = (const bf16*) __shfl_sync(FULL, (u64) row, 8 * j + g);
            r[j] = from[c].bits | ((u32) from[c + 1].bits << 16);
        }
    }
}

// Not watched by the emulator's checker: the exchange stands for wires inside the tensor core.
static EMU_RAW void mma_operands(u32 (*operands)[6], int lane, const u32* a, u32 b0, u32 b1) {
    for (int i = 0; i < 4; i++) {
        operands[lane][i] = a[i];
    }
    operands[lane][4] = b0;
    operands[lane][5] = b1;
}

static EMU_RAW void mma_products(float* d, u32 (*operands)[6], int lane) {
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

// mma.m16n8k16: d += a b, bf16 products summed in float.
__device__ __forceinline__ void mma_16816(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    __shared__ u32 operands[8][WARP][6];
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    mma_operands(operands[warp], lane, a, b0, b1);
    // Lanes meet, but nothing that they did in memory is ordered by it.
    __ballot_sync(FULL, true);
    mma_products(d, operands[warp], lane);
    __ballot_sync(FULL, true);
}

#else

// Copies to shared memory behind the thread's back (cp.async). What is copied may be read after `wait`, by other threads after a barrier
// as well.
struct Copies {
    // An even number of bytes to 16, filled up with zeros to 16; `from` must be aligned to 16 even for none. L2 fetches the 128 bytes
    // around them.
    __device__ __forceinline__ void copy(void* to, const void* from, int bytes) {
        asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"((u32) __cvta_generic_to_shared(to)), "l"(from),
                     "r"(bytes) : "memory");
    }

    // 16 bytes, or zeros.
    __device__ __forceinline__ void copy16(void* to, const void* from, bool valid) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((u32) __cvta_generic_to_shared(to)), "l"(from),
                     "r"(valid ? 16 : 0) : "memory");
    }

    // 16 bytes, both sides at offsets from their pointers, in bytes.
    template <int TO, int FROM> __device__ __forceinline__ void copy16(void* to, const void* from) {
        asm volatile("cp.async.cg.shared.global [%0 + %2], [%1 + %3], 16;" ::"r"((u32) __cvta_generic_to_shared(to)), "l"(from), "n"(TO),
                     "n"(FROM) : "memory");
    }

    // Copies since the last call are one group.
    __device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

    // Waits until all but the last LEFT groups of this thread are done.
    template <int LEFT> __device__ __forceinline__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }
};

// The compiler moves no memory access from one side to the other, which keeps an unrolled loop from loading everything first.
__device__ __forceinline__ void keep_order() { asm volatile("" ::: "memory"); }

// What was computed from x is computed anew where it is needed after this, and takes no register until then.
__device__ __forceinline__ void recompute(u32& x) { asm volatile("" : "+r"(x)); }

// 2^x by the special function unit: 2 ulp, results under the smallest normal float are 0.
__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// log2 x by the special function unit, x normal: error 2^-22, absolute for x from 1/2 to 2, relative outside.
__device__ __forceinline__ float log2_approx(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Two floats rounded to bf16, the first in the lower half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

// ldmatrix.x4: four 8 x 8 matrices of 16-bit elements in shared memory; lane 8 j + i names row i of matrix j, aligned to 16 bytes.
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

// mma.m16n8k16: d += a b, bf16 products summed in float.
__device__ __forceinline__ void mma_16816(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
