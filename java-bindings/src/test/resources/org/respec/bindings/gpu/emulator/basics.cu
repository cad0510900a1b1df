// Kernels that do each thing CUDA has, in one file because every compilation takes a second.
typedef unsigned long long u64;
typedef unsigned short u16;

struct Args {
    const void* in;
    void* out;
    void* more;
    int n;
    float f;
};

#define FULL 0xffffffffu

extern "C" __global__ void vector_add(const __grid_constant__ Args a) {
    const float* x = (const float*) a.in;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < a.n; i += gridDim.x * blockDim.x) {
        ((float*) a.out)[i] = x[i] + ((const float*) a.more)[i];
    }
}

template <int N> __device__ float tree_sum(float x) {
    __shared__ alignas(16) float shared[N];
    shared[threadIdx.x] = x;
    __syncthreads();
#pragma unroll
    for (int step = N / 2; step > 0; step /= 2) {
        if (threadIdx.x < step) {
            shared[threadIdx.x] += shared[threadIdx.x + step];
        }
        __syncthreads();
    }
    return shared[0];
}

extern "C" __global__ void __launch_bounds__(256) block_sum(const __grid_constant__ Args a) {
    __shared__ float warps[8];
    float x = ((const float*) a.in)[blockIdx.x * 256 + threadIdx.x];
    float tree = tree_sum<256>(x);
    for (int step = 16; step > 0; step /= 2) {
        x += __shfl_xor_sync(FULL, x, step);
    }
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = x;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        float sum = 0.f;
        for (int i = 0; i < 8; i++) {
            sum += warps[i];
        }
        ((float*) a.out)[blockIdx.x] = tree;
        ((float*) a.more)[blockIdx.x] = sum;
    }
}

// 16 words a thread.
extern "C" __global__ void warp_operations(const __grid_constant__ Args a) {
    unsigned lane = threadIdx.x % 32;
    unsigned* out = (unsigned*) a.out + 16 * threadIdx.x;
    int value = ((const int*) a.in)[threadIdx.x];
    out[0] = __shfl_sync(FULL, value, 5);
    out[1] = __shfl_sync(FULL, value, lane + 3, 8);
    out[2] = __shfl_up_sync(FULL, value, 3);
    out[3] = __shfl_down_sync(FULL, value, 5, 16);
    out[4] = __shfl_xor_sync(FULL, value, 9);
    out[5] = (unsigned) (__shfl_xor_sync(FULL, (u64) value << 32, 1) >> 32);
    out[6] = (unsigned) __shfl_down_sync(FULL, (double) value, 1);
    out[7] = __ballot_sync(FULL, value & 1);
    out[8] = __any_sync(FULL, value == 77) + 2 * __all_sync(FULL, value >= 0);
    out[9] = __match_any_sync(FULL, value & 3);
    out[10] = __reduce_add_sync(FULL, value);
    out[11] = __reduce_max_sync(FULL, -value);
    out[12] = __reduce_min_sync(FULL, (unsigned) value);
    // Halves of a warp go different ways, with masks of their own.
    unsigned half = lane < 16 ? 0xffffu : 0xffff0000u;
    int sum = value;
    for (int step = lane < 16 ? 8 : 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(half, sum, step);
    }
    out[13] = sum;
    __syncwarp();
    out[14] = __popc(__ballot_sync(FULL, sum > 100));
    out[15] = __syncthreads_count(lane < 3) + 1000 * __syncthreads_or(value == 5) + 2000 * __syncthreads_and(lane < 40);
}

extern "C" __global__ void reverse(const __grid_constant__ Args a) {
    extern __shared__ __align__(16) float tile[];
    int* numbers = (int*) (tile + blockDim.x);
    tile[threadIdx.x] = ((const float*) a.in)[threadIdx.x];
    numbers[threadIdx.x] = threadIdx.x;
    __syncthreads();
    int other = blockDim.x - 1 - threadIdx.x;
    ((float*) a.out)[threadIdx.x] = tile[other] + numbers[other];
}

struct Counters {
    int sum, most, least, bits;
    unsigned turns, swaps, exchanged;
    float real;
    u64 wide;
};

extern "C" __global__ void atomics(const __grid_constant__ Args a) {
    Counters* c = (Counters*) a.out;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&c->sum, i);
    atomicMax(&c->most, i);
    atomicMin(&c->least, -i);
    atomicOr(&c->bits, 1 << (i % 31));
    atomicInc(&c->turns, 9);
    for (unsigned seen = c->swaps * 0; ; ) {
        unsigned old = atomicCAS(&c->swaps, seen, seen + 2);
        if (old == seen) {
            break;
        }
        seen = old;
    }
    atomicExch(&c->exchanged, 5u);
    atomicAdd(&c->real, 0.5f);
    atomicAdd(&c->wide, 1ull << 33);
}

extern "C" __global__ void geometry(const __grid_constant__ Args a) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    ((int*) a.out)[block * blockDim.x * blockDim.y + thread] = 10000 * blockIdx.z + 1000 * blockIdx.y + 100 * blockIdx.x + 10 * threadIdx.y
        + threadIdx.x;
}

// Sums of blocks, added up by the last one to come; n = 0 leaves out the fence.
extern "C" __global__ void last_block(const __grid_constant__ Args a) {
    __shared__ bool last;
    float* partial = (float*) a.more;
    unsigned* count = (unsigned*) a.out;
    float sum = tree_sum<64>(((const float*) a.in)[blockIdx.x * 64 + threadIdx.x]);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        if (a.n) {
            __threadfence();
        }
        last = atomicAdd(count, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x < gridDim.x) {
        float x = partial[threadIdx.x];
        x = tree_sum<64>(threadIdx.x < gridDim.x ? x : 0.f);
        if (threadIdx.x == 0) {
            *(float*) (count + 1) = x;
        }
    }
}

// out[0] = a * b + c in two roundings, out[1] in one, out[2] what a shared variable holds that nobody wrote.
extern "C" __global__ void numbers(const __grid_constant__ Args a) {
    __shared__ float fresh[4];
    const float* x = (const float*) a.in;
    float* out = (float*) a.out;
    out[0] = x[0] * x[1] + x[2];
    out[1] = __fmaf_rn(x[0], x[1], x[2]);
    out[2] = fresh[a.n];
    if (a.n == 9) {
        fresh[0] = 1.f;
    }
    out[3] = min(x[0], 2.f) + max(3, (int) threadIdx.x) + rsqrtf(4.f) + __saturatef(7.f);
    out[4] = __popc(255) + __ffs(8) + __clz(1) + __popcll(3) + (__brev(1) >> 31) + __funnelshift_l(0x80000000u, 1, 1)
        + __umulhi(1u << 31, 4);
    out[5] = __byte_perm(0x33221100, 0x77665544, 0x7410) == 0x77441100;
    float4 v = *(const float4*) x;
    out[6] = v.w + isnan(out[2]) + (a.f == 2.5f);
}

// Neighbours write the halves of a word: no race.
extern "C" __global__ void halves(const __grid_constant__ Args a) {
    __shared__ u16 shared[64];
    shared[threadIdx.x] = (u16) threadIdx.x;
    __syncthreads();
    ((u16*) a.out)[blockIdx.x * blockDim.x + threadIdx.x] = shared[63 - threadIdx.x];
}

// Exchange within a warp, ordered by __syncwarp alone.
extern "C" __global__ void warp_exchange(const __grid_constant__ Args a) {
    __shared__ int shared[64];
    for (int turn = 0; turn < 3; turn++) {
        shared[threadIdx.x] = threadIdx.x + turn;
        __syncwarp();
        ((int*) a.out)[threadIdx.x] = shared[threadIdx.x ^ 1];
        __syncwarp();
    }
}

extern "C" __global__ void say_hello(const __grid_constant__ Args a) {
    if (threadIdx.x == 0) {
        memcpy(a.out, a.in, a.n);
    }
}
