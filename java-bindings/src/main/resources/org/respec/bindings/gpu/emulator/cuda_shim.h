// What CUDA C++ has and C++ has not, for kernels that run on the host. Forced in before every kernel (-include); includes nothing, so
// that a kernel that needs a system header fails here as it does with NVRTC. Threads are fibres of one host thread (runtime.cpp), so
// an atomic is a plain read and write that no other CUDA thread can come between.
#pragma once

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Where g++ does not take the keyword: "__shared__ alignas(16) float x[4]".
#define alignas(n) __attribute__((aligned(n)))
// A pointer that is restrict to one CUDA thread is not so to the fibres that share this host thread.
#define __restrict__
#define __restrict
// One block runs at a time, so a block's shared variable is a static one. They are all there is in .bss, which runtime.cpp relies on.
// "extern __shared__" is taken out before compilation: dynamic shared memory is a symbol given to the linker.
#define __shared__ static

#define EMU_INLINE static inline __attribute__((always_inline))
#define EMU_RAW __attribute__((noinline, no_sanitize("thread"), no_sanitize("undefined")))

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

typedef unsigned long long emu_u64;
typedef __SIZE_TYPE__ size_t;

struct uint3 { unsigned x, y, z; };
struct int3 { int x, y, z; };
struct float3 { float x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

#define EMU_VECTOR(T, name) \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; }; \
    struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; }; \
    EMU_INLINE name##2 make_##name##2(T x, T y) { return {x, y}; } \
    EMU_INLINE name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(float, float)
EMU_VECTOR(int, int)
EMU_VECTOR(unsigned, uint)
EMU_VECTOR(short, short)
EMU_VECTOR(unsigned short, ushort)
EMU_VECTOR(signed char, char)
EMU_VECTOR(unsigned char, uchar)
EMU_VECTOR(long long, longlong)
EMU_VECTOR(unsigned long long, ulonglong)
EMU_VECTOR(double, double)
#undef EMU_VECTOR
EMU_INLINE float3 make_float3(float x, float y, float z) { return {x, y, z}; }
EMU_INLINE int3 make_int3(int x, int y, int z) { return {x, y, z}; }
EMU_INLINE uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }

// ---- runtime.cpp ----

enum emu_operation {
    EMU_SHUFFLE, EMU_BALLOT, EMU_SYNC_WARP, EMU_MATCH_ANY, EMU_MATCH_ALL, EMU_SUM, EMU_MIN_SIGNED, EMU_MAX_SIGNED, EMU_MIN_UNSIGNED,
    EMU_MAX_UNSIGNED, EMU_AND, EMU_OR, EMU_XOR
};

extern "C" {
// The running CUDA thread; its first words are threadIdx and lane.
extern void* emu_self;
// blockIdx, blockDim, gridDim.
extern unsigned emu_geometry[9];
// Meets the other threads of the mask: what comes back depends on the operation.
emu_u64 emu_warp(int operation, unsigned mask, emu_u64 value, unsigned source);
// Meets the other threads of the block: how many of them came with a true predicate, and how many came.
emu_u64 emu_barrier(int kind, int predicate);
void emu_fence(int scope);
// Before an atomic operation on an address: checks it, and notes it as a way by which blocks order their work.
void emu_atomic(const void* address, unsigned bytes);
[[noreturn]] void emu_trap(void);
[[noreturn]] void emu_assert_failed(const char* what, const char* file, int line);
int printf(const char* format, ...);

float sqrtf(float); float expf(float); float exp2f(float); float exp10f(float); float expm1f(float); float logf(float); float log2f(float);
float log10f(float); float log1pf(float); float fminf(float, float); float fmaxf(float, float); float fabsf(float); float floorf(float);
float ceilf(float); float truncf(float); float rintf(float); float roundf(float); float copysignf(float, float); float tanhf(float);
float erff(float); float powf(float, float); float cosf(float); float sinf(float); float fmodf(float, float);
float fmaf(float, float, float); float ldexpf(float, int); float cbrtf(float); float sinhf(float); float coshf(float);
double sqrt(double); double exp(double); double log(double); double fabs(double); double floor(double); double fma(double, double, double);
double pow(double, double); double fmin(double, double); double fmax(double, double); double cos(double); double sin(double);
double log1p(double); double ceil(double);
// A read or write that the compiler does not see as one.
void emu_touch(const void* address, emu_u64 bytes, int writes);
}
EMU_INLINE void* memcpy(void* to, const void* from, size_t bytes) {
    emu_touch(from, bytes, 0);
    emu_touch(to, bytes, 1);
    return __builtin_memcpy(to, from, bytes);
}
EMU_INLINE void* memset(void* to, int value, size_t bytes) {
    emu_touch(to, bytes, 1);
    return __builtin_memset(to, value, bytes);
}

// Read by assembly, so that neither the checker sees these reads nor the compiler repeats them: they are constant for a thread.
#define EMU_FIELD(offset) \
    ({ \
        emu_u64 emu_pointer; \
        __asm__("movq emu_self@GOTPCREL(%%rip), %0\n\tmovq (%0), %0\n\tmovl " #offset "(%0), %k0" : "=r"(emu_pointer)); \
        (unsigned) emu_pointer; \
    })
#define EMU_GEOMETRY(offset) \
    ({ \
        emu_u64 emu_pointer; \
        __asm__("movq emu_geometry@GOTPCREL(%%rip), %0\n\tmovl " #offset "(%0), %k0" : "=r"(emu_pointer)); \
        (unsigned) emu_pointer; \
    })
EMU_INLINE uint3 emu_thread_index() { return {EMU_FIELD(0), EMU_FIELD(4), EMU_FIELD(8)}; }
EMU_INLINE uint3 emu_block_index() { return {EMU_GEOMETRY(0), EMU_GEOMETRY(4), EMU_GEOMETRY(8)}; }
EMU_INLINE dim3 emu_block_size() { return dim3(EMU_GEOMETRY(12), EMU_GEOMETRY(16), EMU_GEOMETRY(20)); }
EMU_INLINE dim3 emu_grid_size() { return dim3(EMU_GEOMETRY(24), EMU_GEOMETRY(28), EMU_GEOMETRY(32)); }
EMU_INLINE unsigned emu_lane() { return EMU_FIELD(12); }
#define threadIdx (emu_thread_index())
#define blockIdx (emu_block_index())
#define blockDim (emu_block_size())
#define gridDim (emu_grid_size())
#define warpSize 32

// ---- bits ----

template <typename To, typename From> EMU_INLINE To emu_cast(From from) {
    static_assert(sizeof(To) == sizeof(From), "casts keep the size");
    To to;
    __builtin_memcpy(&to, &from, sizeof(to));
    return to;
}
EMU_INLINE unsigned __float_as_uint(float x) { return emu_cast<unsigned>(x); }
EMU_INLINE int __float_as_int(float x) { return emu_cast<int>(x); }
EMU_INLINE float __uint_as_float(unsigned x) { return emu_cast<float>(x); }
EMU_INLINE float __int_as_float(int x) { return emu_cast<float>(x); }
EMU_INLINE long long __double_as_longlong(double x) { return emu_cast<long long>(x); }
EMU_INLINE double __longlong_as_double(long long x) { return emu_cast<double>(x); }

EMU_INLINE int __popc(unsigned x) { return __builtin_popcount(x); }
EMU_INLINE int __popcll(emu_u64 x) { return __builtin_popcountll(x); }
EMU_INLINE int __ffs(int x) { return __builtin_ffs(x); }
EMU_INLINE int __ffsll(long long x) { return __builtin_ffsll(x); }
EMU_INLINE int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned) x); }
EMU_INLINE int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll((emu_u64) x); }
EMU_INLINE unsigned __brev(unsigned x) {
    x = (x >> 16) | (x << 16);
    x = ((x & 0xff00ff00u) >> 8) | ((x & 0x00ff00ffu) << 8);
    x = ((x & 0xf0f0f0f0u) >> 4) | ((x & 0x0f0f0f0fu) << 4);
    x = ((x & 0xccccccccu) >> 2) | ((x & 0x33333333u) << 2);
    return ((x & 0xaaaaaaaau) >> 1) | ((x & 0x55555555u) << 1);
}
EMU_INLINE emu_u64 __brevll(emu_u64 x) { return ((emu_u64) __brev((unsigned) x) << 32) | __brev((unsigned) (x >> 32)); }
EMU_INLINE unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return (unsigned) (((((emu_u64) high) << 32 | low) << (shift & 31)) >> 32);
}
EMU_INLINE unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (unsigned) ((((emu_u64) high) << 32 | low) >> (shift & 31));
}
EMU_INLINE unsigned __umulhi(unsigned a, unsigned b) { return (unsigned) (((emu_u64) a * b) >> 32); }
EMU_INLINE int __mulhi(int a, int b) { return (int) (((long long) a * b) >> 32); }
EMU_INLINE emu_u64 __umul64hi(emu_u64 a, emu_u64 b) { return (emu_u64) (((unsigned __int128) a * b) >> 64); }
EMU_INLINE int __mul24(int a, int b) { return (int) (((unsigned) ((a << 8) >> 8)) * (unsigned) ((b << 8) >> 8)); }
EMU_INLINE unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
EMU_INLINE unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    emu_u64 bytes = (emu_u64) b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned pick = (selector >> (4 * i)) & 15;
        unsigned byte = (unsigned) (bytes >> (8 * (pick & 7))) & 255u;
        if (pick & 8) {
            byte = byte & 128 ? 255 : 0;
        }
        result |= byte << (8 * i);
    }
    return result;
}

// ---- arithmetic ----

EMU_INLINE float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
EMU_INLINE float __fadd_rn(float a, float b) { return a + b; }
EMU_INLINE float __fsub_rn(float a, float b) { return a - b; }
EMU_INLINE float __fmul_rn(float a, float b) { return a * b; }
EMU_INLINE float __fdiv_rn(float a, float b) { return a / b; }
EMU_INLINE float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
EMU_INLINE float __frcp_rn(float a) { return 1.f / a; }
EMU_INLINE float __fdividef(float a, float b) { return a / b; }
EMU_INLINE float rsqrtf(float a) { return 1.f / __builtin_sqrtf(a); }
EMU_INLINE float __frsqrt_rn(float a) { return (float) (1. / __builtin_sqrt((double) a)); }
EMU_INLINE float __expf(float a) { return expf(a); }
EMU_INLINE float __exp2f(float a) { return exp2f(a); }
EMU_INLINE float __logf(float a) { return logf(a); }
EMU_INLINE float __log2f(float a) { return log2f(a); }
EMU_INLINE float __log10f(float a) { return log10f(a); }
EMU_INLINE float __powf(float a, float b) { return powf(a, b); }
EMU_INLINE float __sinf(float a) { return sinf(a); }
EMU_INLINE float __cosf(float a) { return cosf(a); }
EMU_INLINE float __saturatef(float a) { return a > 1.f ? 1.f : a > 0.f ? a : 0.f; }
EMU_INLINE void sincosf(float a, float* s, float* c) { *s = sinf(a); *c = cosf(a); }
EMU_INLINE void __sincosf(float a, float* s, float* c) { *s = sinf(a); *c = cosf(a); }
EMU_INLINE double __dadd_rn(double a, double b) { return a + b; }
EMU_INLINE double __dmul_rn(double a, double b) { return a * b; }
EMU_INLINE double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
// Out of range saturates and NaN is 0, as on the device.
EMU_INLINE int emu_to_int(float x) {
    return x != x ? 0 : x >= 2147483648.f ? 2147483647 : x < -2147483648.f ? -2147483647 - 1 : (int) x;
}
EMU_INLINE unsigned emu_to_uint(float x) { return !(x > 0.f) ? 0u : x >= 4294967296.f ? 4294967295u : (unsigned) x; }
EMU_INLINE int __float2int_rn(float x) { return emu_to_int(__builtin_rintf(x)); }
EMU_INLINE int __float2int_rz(float x) { return emu_to_int(x); }
EMU_INLINE int __float2int_rd(float x) { return emu_to_int(__builtin_floorf(x)); }
EMU_INLINE int __float2int_ru(float x) { return emu_to_int(__builtin_ceilf(x)); }
EMU_INLINE unsigned __float2uint_rz(float x) { return emu_to_uint(x); }
EMU_INLINE unsigned __float2uint_rn(float x) { return emu_to_uint(__builtin_rintf(x)); }
EMU_INLINE long long emu_to_ll(float x) {
    constexpr float over = 9223372036854775808.f;
    return x != x ? 0 : x >= over ? 0x7fffffffffffffffll : x < -over ? -0x7fffffffffffffffll - 1 : (long long) x;
}
EMU_INLINE emu_u64 emu_to_ull(float x) { return !(x > 0.f) ? 0 : x >= 18446744073709551616.f ? ~0ull : (emu_u64) x; }
EMU_INLINE long long __float2ll_rn(float x) { return emu_to_ll(__builtin_rintf(x)); }
EMU_INLINE long long __float2ll_rz(float x) { return emu_to_ll(x); }
EMU_INLINE emu_u64 __float2ull_rn(float x) { return emu_to_ull(__builtin_rintf(x)); }
EMU_INLINE emu_u64 __float2ull_rz(float x) { return emu_to_ull(x); }
EMU_INLINE float __ll2float_rn(long long x) { return (float) x; }
EMU_INLINE float __ull2float_rn(emu_u64 x) { return (float) x; }
EMU_INLINE float __int2float_rn(int x) { return (float) x; }
EMU_INLINE float __uint2float_rn(unsigned x) { return (float) x; }

EMU_INLINE bool isnan(float x) { return __builtin_isnan(x); }
EMU_INLINE bool isnan(double x) { return __builtin_isnan(x); }
EMU_INLINE bool isinf(float x) { return __builtin_isinf(x); }
EMU_INLINE bool isinf(double x) { return __builtin_isinf(x); }
EMU_INLINE bool isfinite(float x) { return __builtin_isfinite(x); }
EMU_INLINE bool isfinite(double x) { return __builtin_isfinite(x); }
EMU_INLINE bool signbit(float x) { return __builtin_signbit(x); }

#define EMU_MIN_MAX(T) \
    EMU_INLINE T min(T a, T b) { return b < a ? b : a; } \
    EMU_INLINE T max(T a, T b) { return a < b ? b : a; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
#undef EMU_MIN_MAX
#define EMU_MIXED(A, B, R) \
    EMU_INLINE R min(A a, B b) { return min((R) a, (R) b); } \
    EMU_INLINE R max(A a, B b) { return max((R) a, (R) b); }
EMU_MIXED(int, unsigned, unsigned)
EMU_MIXED(unsigned, int, unsigned)
EMU_MIXED(long long, unsigned long long, unsigned long long)
EMU_MIXED(unsigned long long, long long, unsigned long long)
#undef EMU_MIXED
EMU_INLINE float min(float a, float b) { return __builtin_fminf(a, b); }
EMU_INLINE float max(float a, float b) { return __builtin_fmaxf(a, b); }
EMU_INLINE double min(double a, double b) { return __builtin_fmin(a, b); }
EMU_INLINE double max(double a, double b) { return __builtin_fmax(a, b); }
EMU_INLINE int abs(int x) { return x < 0 ? -x : x; }
EMU_INLINE long long abs(long long x) { return x < 0 ? -x : x; }
EMU_INLINE float abs(float x) { return __builtin_fabsf(x); }
EMU_INLINE long long llabs(long long x) { return x < 0 ? -x : x; }

// ---- barriers ----

EMU_INLINE void __syncthreads() { emu_barrier(0, 0); }
EMU_INLINE int __syncthreads_count(int predicate) { return (int) (unsigned) emu_barrier(1, predicate != 0); }
EMU_INLINE int __syncthreads_or(int predicate) { return (unsigned) emu_barrier(2, predicate != 0) != 0; }
EMU_INLINE int __syncthreads_and(int predicate) {
    emu_u64 result = emu_barrier(3, predicate != 0);
    return (unsigned) result == (unsigned) (result >> 32);
}
EMU_INLINE void __syncwarp(unsigned mask = 0xffffffffu) { emu_warp(EMU_SYNC_WARP, mask, 0, 0); }
EMU_INLINE void __threadfence_block() { emu_fence(0); }
EMU_INLINE void __threadfence() { emu_fence(1); }
EMU_INLINE void __threadfence_system() { emu_fence(2); }

// ---- warps ----

template <typename T> EMU_INLINE emu_u64 emu_pack(T value) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    emu_u64 bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    return bits;
}
template <typename T> EMU_INLINE T emu_unpack(emu_u64 bits) {
    T value;
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
}
#define EMU_SHUFFLES(T) \
    EMU_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32) { \
        unsigned lane = emu_lane(), segment = 32u - (unsigned) width; \
        return emu_unpack<T>(emu_warp(EMU_SHUFFLE, mask, emu_pack(value), (lane & segment) | ((unsigned) source & 31u & ~segment))); \
    } \
    EMU_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) { \
        unsigned lane = emu_lane(), segment = 32u - (unsigned) width; \
        int from = (int) lane - (int) (delta & 31u); \
        return emu_unpack<T>(emu_warp(EMU_SHUFFLE, mask, emu_pack(value), from < (int) (lane & segment) ? lane : (unsigned) from)); \
    } \
    EMU_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) { \
        unsigned lane = emu_lane(), segment = 32u - (unsigned) width, from = lane + (delta & 31u); \
        return emu_unpack<T>(emu_warp(EMU_SHUFFLE, mask, emu_pack(value), from > ((lane & segment) | (31u & ~segment)) ? lane : from)); \
    } \
    EMU_INLINE T __shfl_xor_sync(unsigned mask, T value, int other, int width = 32) { \
        unsigned lane = emu_lane(), segment = 32u - (unsigned) width, from = lane ^ ((unsigned) other & 31u); \
        return emu_unpack<T>(emu_warp(EMU_SHUFFLE, mask, emu_pack(value), from > ((lane & segment) | (31u & ~segment)) ? lane : from)); \
    }
EMU_SHUFFLES(int)
EMU_SHUFFLES(unsigned)
EMU_SHUFFLES(float)
EMU_SHUFFLES(double)
EMU_SHUFFLES(long)
EMU_SHUFFLES(unsigned long)
EMU_SHUFFLES(long long)
EMU_SHUFFLES(unsigned long long)
#undef EMU_SHUFFLES

EMU_INLINE unsigned __ballot_sync(unsigned mask, int predicate) { return (unsigned) emu_warp(EMU_BALLOT, mask, predicate != 0, 0); }
EMU_INLINE int __any_sync(unsigned mask, int predicate) { return (unsigned) emu_warp(EMU_BALLOT, mask, predicate != 0, 0) != 0; }
EMU_INLINE int __all_sync(unsigned mask, int predicate) {
    emu_u64 result = emu_warp(EMU_BALLOT, mask, predicate != 0, 0);
    return (unsigned) result == (unsigned) (result >> 32);
}
// Lanes that are converged with this one: only itself is sure to be.
EMU_INLINE unsigned __activemask() { return 1u << emu_lane(); }
template <typename T> EMU_INLINE unsigned __match_any_sync(unsigned mask, T value) {
    return (unsigned) emu_warp(EMU_MATCH_ANY, mask, emu_pack(value), 0);
}
template <typename T> EMU_INLINE unsigned __match_all_sync(unsigned mask, T value, int* predicate) {
    unsigned result = (unsigned) emu_warp(EMU_MATCH_ALL, mask, emu_pack(value), 0);
    *predicate = result != 0;
    return result;
}
EMU_INLINE unsigned __reduce_add_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_SUM, mask, value, 0); }
EMU_INLINE int __reduce_add_sync(unsigned mask, int value) { return (int) emu_warp(EMU_SUM, mask, (unsigned) value, 0); }
EMU_INLINE unsigned __reduce_min_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_MIN_UNSIGNED, mask, value, 0); }
EMU_INLINE int __reduce_min_sync(unsigned mask, int value) { return (int) emu_warp(EMU_MIN_SIGNED, mask, (unsigned) value, 0); }
EMU_INLINE unsigned __reduce_max_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_MAX_UNSIGNED, mask, value, 0); }
EMU_INLINE int __reduce_max_sync(unsigned mask, int value) { return (int) emu_warp(EMU_MAX_SIGNED, mask, (unsigned) value, 0); }
EMU_INLINE unsigned __reduce_and_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_AND, mask, value, 0); }
EMU_INLINE unsigned __reduce_or_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_OR, mask, value, 0); }
EMU_INLINE unsigned __reduce_xor_sync(unsigned mask, unsigned value) { return (unsigned) emu_warp(EMU_XOR, mask, value, 0); }

// ---- atomics ----

#define EMU_ATOMIC(name, T, update) \
    static EMU_RAW T name(T* address, T value) { \
        emu_atomic(address, sizeof(T)); \
        T old = *(volatile T*) address; \
        *(volatile T*) address = (update); \
        return old; \
    }
#define EMU_ATOMICS(T) \
    EMU_ATOMIC(atomicAdd, T, (T) (old + value)) \
    EMU_ATOMIC(atomicExch, T, value) \
    EMU_ATOMIC(atomicMax, T, old < value ? value : old) \
    EMU_ATOMIC(atomicMin, T, value < old ? value : old) \
    EMU_ATOMIC(atomicOr, T, (T) (old | value)) \
    EMU_ATOMIC(atomicAnd, T, (T) (old & value)) \
    EMU_ATOMIC(atomicXor, T, (T) (old ^ value)) \
    static EMU_RAW T atomicCAS(T* address, T compare, T value) { \
        emu_atomic(address, sizeof(T)); \
        T old = *(volatile T*) address; \
        if (old == compare) { \
            *(volatile T*) address = value; \
        } \
        return old; \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
EMU_ATOMICS(int)
EMU_ATOMICS(unsigned)
EMU_ATOMICS(unsigned long long)
EMU_ATOMICS(long long)
EMU_ATOMIC(atomicAdd, float, old + value)
EMU_ATOMIC(atomicAdd, double, old + value)
EMU_ATOMIC(atomicExch, float, value)
EMU_ATOMIC(atomicSub, int, (int) ((unsigned) old - (unsigned) value))
EMU_ATOMIC(atomicSub, unsigned, old - value)
EMU_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMU_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#pragma GCC diagnostic pop
#undef EMU_ATOMICS
#undef EMU_ATOMIC

// ---- loads and stores with a cache hint ----

template <typename T> EMU_INLINE T __ldg(const T* p) { return *p; }
template <typename T> EMU_INLINE T __ldcs(const T* p) { return *p; }
template <typename T> EMU_INLINE T __ldcg(const T* p) { return *p; }
template <typename T> EMU_INLINE T __ldca(const T* p) { return *p; }
template <typename T> EMU_INLINE T __ldlu(const T* p) { return *p; }
template <typename T> EMU_INLINE T __ldcv(const T* p) { return *p; }
template <typename T> EMU_INLINE void __stcs(T* p, T value) { *p = value; }
template <typename T> EMU_INLINE void __stcg(T* p, T value) { *p = value; }
template <typename T> EMU_INLINE void __stwb(T* p, T value) { *p = value; }
template <typename T> EMU_INLINE void __stwt(T* p, T value) { *p = value; }

EMU_INLINE long long clock64() { return (long long) __builtin_ia32_rdtsc(); }
EMU_INLINE int clock() { return (int) __builtin_ia32_rdtsc(); }
EMU_INLINE void __nanosleep(unsigned) {}
EMU_INLINE void __trap() { emu_trap(); }
#define assert(condition) ((condition) ? (void) 0 : emu_assert_failed(#condition, __FILE__, __LINE__))

// ---- how the runtime calls a kernel: EMU_KERNEL(name) is appended for every entry ----

template <typename A> struct emu_kernel_argument;
template <typename A> struct emu_kernel_argument<void (*)(A)> { static constexpr unsigned bytes = sizeof(A); };
template <> struct emu_kernel_argument<void (*)()> { static constexpr unsigned bytes = 0; };
template <typename A> EMU_INLINE __attribute__((no_sanitize("undefined"))) void emu_call(void (*kernel)(A), const void* arguments) {
    kernel(*(const A*) arguments);
}
EMU_INLINE void emu_call(void (*kernel)(), const void*) { kernel(); }
#define EMU_EXPORT __attribute__((visibility("default")))
#define EMU_KERNEL(name) \
    extern "C" EMU_EXPORT EMU_RAW void emu_run_##name(const void* arguments) { emu_call(&name, arguments); } \
    extern "C" EMU_EXPORT unsigned emu_bytes_##name() { return emu_kernel_argument<decltype(&name)>::bytes; }
extern "C" {
extern __attribute__((visibility("hidden"))) char __bss_start[];
extern __attribute__((visibility("hidden"))) char _end[];
extern __attribute__((visibility("hidden"))) char __ehdr_start[];
// Where the library begins, and where the static shared variables lie.
EMU_EXPORT inline __attribute__((used)) char* emu_code_begin() { return __ehdr_start; }
EMU_EXPORT inline __attribute__((used)) char* emu_shared_begin() { return __bss_start; }
EMU_EXPORT inline __attribute__((used)) char* emu_shared_end() { return _end; }
}
