// Every mistake that must be reported, by number.
typedef unsigned short u16;

struct Args {
    int* data;
    int* other;
    int n;
    int mistake;
};

__device__ __noinline__ int deep(volatile int* p, int level) {
    volatile int room[512];
    room[level & 511] = *p;
    return deep(p, level + 1) + room[(level + 1) & 511];
}

__device__ __forceinline__ void write_at(int* data, int i) {
    data[i] = 1;
}

extern "C" __global__ void mistake(const __grid_constant__ Args a) {
    __shared__ int shared[64];
    __shared__ u16 halves[64];
    extern __shared__ int dynamic[];
    int t = threadIdx.x;
    switch (a.mistake) {
        case 0:
            break;
        case 1:  // race on shared memory, across warps
            shared[t] = t;
            a.data[t] = shared[63 - t];
            break;
        case 2:  // race on shared memory, in a warp
            shared[t] = t;
            a.data[t] = shared[t ^ 1];
            break;
        case 3:  // two blocks write one word
            a.data[t] = blockIdx.x;
            break;
        case 4:  // a block reads what another wrote
            a.data[blockIdx.x * 64 + t] = a.data[(blockIdx.x * 64 + 64 + t) % 128] + 1;
            break;
        case 5:  // write after a read of others
            shared[t] = 0;
            __syncthreads();
            a.data[t] = shared[7];
            if (t == 40) {
                shared[7] = 1;
            }
            break;
        case 6:  // plain write beside an atomic
            atomicAdd(&a.data[0], 1);
            if (t == 63) {
                a.data[0] = 1;
            }
            break;
        case 7:
            halves[t / 2] = (u16) t;
            a.data[t] = halves[0];
            break;
        case 10:  // one past the end
            a.data[t] = a.data[a.n + t - 63];
            break;
        case 11:
            write_at(a.data, a.n);
            break;
        case 12:
            write_at(a.data, -1);
            break;
        case 13:
            dynamic[t + a.n] = 1;
            break;
        case 14:
            shared[t + 1] = 1;
            break;
        case 15:
            *(float4*) (a.data + 1) = make_float4(1, 2, 3, 4);
            break;
        case 16:
            a.data[1ll << 30] = 3;
            break;
        case 17:
            *(int*) (size_t) (a.n * 0) = 3;
            break;
        case 18:
            write_at(a.other, 0);
            break;
        case 20:  // some leave
            if (t < 20) {
                return;
            }
            __syncthreads();
            break;
        case 21:  // some leave later
            if (t < 63) {
                __syncthreads();
            }
            break;
        case 22:
            if (t < 32) {
                __syncthreads();
            } else {
                __syncthreads_or(1);
            }
            break;
        case 23:
            if (t % 32 < 16) {
                __syncthreads();
            } else {
                __shfl_sync(0xffffffffu, t, 0);
            }
            break;
        case 24:
            __shfl_sync(0x0000ffffu, t, 0);
            break;
        case 25:
            a.data[t] = t % 32 < 16 ? __shfl_sync(0x0000ffffu, t, 20) : 0;
            break;
        case 26:
            if (t == 3) {
                return;
            }
            __syncwarp();
            break;
        case 27:
            a.data[t] = t & 1 ? __any_sync(0xffffffffu, 1) : __shfl_sync(0xffffffffu, t, 0);
            break;
        case 30:
            a.data[t] = 5 / (a.n - 64);
            break;
        case 31:
            __trap();
            break;
        case 32:
            assert(t < 60 && "few threads");
            break;
        case 34:  // never ends
            while (*(volatile int*) &a.data[0] == 0) {
            }
            break;
        case 35:  // never ends, without a look at memory
            for (unsigned i = 0; a.n != 0; i++) {
                asm volatile("" : : "r"(i));
            }
            break;
        case 33:
            a.data[t] = deep(a.data, 0);
            break;
    }
}
