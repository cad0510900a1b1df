// The noise field of coupled sampling (NoiseField.java) on the device: the same counters, the same correctly rounded 32-bit
// operations in the same order, so the same bits. Plain operators are avoided where the compiler could fuse them.
#pragma once
#include "ptx.cuh"
#include "types.cuh"

constexpr float LN2 = 0.69314718f;

// No variate is smaller or larger: words 0 and 0xffffffff give -3.13000 and 22.87386.
constexpr float GUMBEL_LEAST = -3.1301f;
constexpr float GUMBEL_LARGEST = 22.874f;

// Four output words: those of tokens 4 * block to 4 * block + 3.
struct NoiseWords {
    u32 at[4];

    // at[token % 4] without an array in memory.
    __device__ __forceinline__ u32 of(int token) const {
        u32 low = token & 1 ? at[1] : at[0];
        u32 high = token & 1 ? at[3] : at[2];
        return token & 2 ? high : low;
    }

    __device__ __forceinline__ u32 largest() const { return max(max(at[0], at[1]), max(at[2], at[3])); }
};

// The round keys that come of a seed: k0, k1 of each round. The host fills them in, so that they are operands from constant memory.
struct NoiseKey {
    u32 rounds[20];
};

// The field of one position of a request: Philox4x32-10 (Salmon et al., 2011), counter (position, block, request), key seed. A block is
// four tokens. What the first three rounds compute without the block is computed once.
struct Noise {
    static constexpr u32 LEFT = 0xD2511F53u;
    static constexpr u32 RIGHT = 0xCD9E8D57u;
    const NoiseKey& key;
    u32 first;
    u32 second;
    u32 third[3];

    __device__ __forceinline__ Noise(const NoiseKey& key, u64 request, u32 position) : key(key) {
        u64 p0 = (u64) LEFT * position;
        u64 p1 = (u64) RIGHT * (u32) request;
        first = (u32) (p1 >> 32) ^ key.rounds[0];
        second = (u32) p0 ^ key.rounds[3];
        u64 q1 = (u64) RIGHT * ((u32) (p0 >> 32) ^ (u32) (request >> 32) ^ key.rounds[1]);
        u64 q0 = (u64) LEFT * ((u32) (q1 >> 32) ^ (u32) p1 ^ key.rounds[2]);
        third[0] = (u32) q1 ^ key.rounds[4];
        third[1] = (u32) (q0 >> 32) ^ key.rounds[5];
        third[2] = (u32) q0;
    }

    // Words of the four tokens from `token` on, a multiple of four.
    __device__ __forceinline__ NoiseWords words(int token) const {
        u64 p0 = (u64) LEFT * (first ^ (u32) token >> 2);
        u64 p1 = (u64) RIGHT * ((u32) (p0 >> 32) ^ second);
        u32 c0 = (u32) (p1 >> 32) ^ third[0];
        u32 c1 = (u32) p1;
        u32 c2 = (u32) p0 ^ third[1];
        u32 c3 = third[2];
#pragma unroll
        for (int round = 3; round < 10; round++) {
            p0 = (u64) LEFT * c0;
            p1 = (u64) RIGHT * c2;
            c0 = (u32) (p1 >> 32) ^ c1 ^ key.rounds[2 * round];
            c1 = (u32) p1;
            c2 = (u32) (p0 >> 32) ^ c3 ^ key.rounds[2 * round + 1];
            c3 = (u32) p0;
        }
        return {{c0, c1, c2, c3}};
    }
};

// 2 s (1 + z/3 + z^2/5 + z^3/7 + z^4/9), s = t / (2 + t), z = s^2.
__device__ __forceinline__ float noise_log1p(float t) {
    float s = __fdiv_rn(t, __fadd_rn(2.f, t));
    float z = __fmul_rn(s, s);
    float p = __fmaf_rn(z, 1.f / 9, 1.f / 7);
    p = __fmaf_rn(z, p, 1.f / 5);
    p = __fmaf_rn(z, p, 1.f / 3);
    float twice = __fadd_rn(s, s);
    return __fmaf_rn(__fmul_rn(twice, z), p, twice);
}

// Natural logarithm of a positive normal float; mantissas over that of sqrt(2) are halved.
__device__ __forceinline__ float noise_log(float x) {
    u32 bits = __float_as_uint(x);
    int exponent = (int) (bits >> 23) - 127;
    u32 mantissa = bits & 0x7fffffu;
    u32 over = mantissa > 0x3504f3u ? 1u : 0u;
    float m = __uint_as_float(mantissa | (0x3f800000u - (over << 23)));
    return __fmaf_rn(__int2float_rn(exponent + (int) over), LN2, noise_log1p(__fadd_rn(m, -1.f)));
}

// The standard Gumbel variate of a word: -log(-log u), u = (word + 1/2) / 2^32; near u = 1 from 1 - u, which the word gives exactly.
__device__ __forceinline__ float gumbel(u32 word) {
    bool near = word >= 0xB504F334u;
    float part = __fmul_rn(__fadd_rn(__uint2float_rn(near ? ~word : word), 0.5f), 2.3283064365386963e-10f);
    float exponential = -(near ? noise_log1p(-part) : noise_log(part));
    return -noise_log(exponential);
}

// Words under this one have variates under t. With v = 1 - u: -log(1 - v) >= v, so the variate is at most -log v, and v > e^-t rules
// a word out. Callers take 1e-3 off t, which covers the roundings of the variate (under 3e-5) and of this function (under 1e-6).
__device__ __forceinline__ u32 least_word(float t) {
    float reach = fminf(exp2_approx(t * -1.44269504f) * 4294967296.f, 4294967040.f);
    return t <= 0.f ? 0u : ~__float2uint_rz(reach);
}

// A lower bound of the variates of words with u >= 1/2, -infinity for others: -log(1 - v) <= v + v^2 there, so the variate is at
// least -log v - v; 1e-3 covers roundings.
__device__ __forceinline__ float gumbel_below(u32 word) {
    float v = fmaf(__uint2float_rn(~word), 2.3283064365386963e-10f, 1.1641532182693481e-10f);
    float bound = fmaf(log2_approx(v), -LN2, -1e-3f) - v;
    return word >> 31 ? bound : -INFINITY;
}

// An upper bound of the variate, at most 2 * GUMBEL_DOUBT above it, by the special function unit. Errors: log2_approx has 2^-22,
// absolute for arguments from 1/2 to 2 and relative outside, so -log u is within a relative 7e-6 where it comes from log2_approx
// (1 - u >= 2^-5), and from its series it is within 2e-7; the outer logarithm adds 6e-6. Together 1.3e-5.
constexpr float GUMBEL_DOUBT = 6e-5f;

__device__ __forceinline__ float gumbel_above(u32 word) {
    bool near = word >= 0xf8000000u;
    float x = fmaf(__uint2float_rn(near ? ~word : word), 2.3283064365386963e-10f, 1.1641532182693481e-10f);
    float series = fmaf(fmaf(fmaf(fmaf(x, 0.2f, 0.25f), x, 1.f / 3), x, 0.5f), x * x, x);
    float exponential = near ? series : log2_approx(x) * -LN2;
    return fmaf(log2_approx(exponential), -LN2, GUMBEL_DOUBT);
}
