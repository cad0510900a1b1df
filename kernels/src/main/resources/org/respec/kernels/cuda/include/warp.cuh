// Reductions in a fixed order: the result depends on the values and the block size alone, so equal rows give equal bits.
#pragma once

constexpr int WARP = 32;
constexpr unsigned FULL = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        x += __shfl_xor_sync(FULL, x, step);
    }
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        x = fmaxf(x, __shfl_xor_sync(FULL, x, step));
    }
    return x;
}

// All threads of the block get the sum. `shared` holds 32 floats and may be used again after the next barrier.
__device__ __forceinline__ float block_sum(float x, float* shared) {
    x = warp_sum(x);
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (lane == 0) {
        shared[warp] = x;
    }
    __syncthreads();
    int warps = (blockDim.x + WARP - 1) / WARP;
    x = lane < warps ? shared[lane] : 0.f;
    x = warp_sum(x);
    __syncthreads();
    return x;
}

__device__ __forceinline__ float block_max(float x, float* shared) {
    x = warp_max(x);
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (lane == 0) {
        shared[warp] = x;
    }
    __syncthreads();
    int warps = (blockDim.x + WARP - 1) / WARP;
    x = lane < warps ? shared[lane] : -INFINITY;
    x = warp_max(x);
    __syncthreads();
    return x;
}
