// The noise as kernels see it, for checks: a position's field, or the variates of given words with a proof of the bounds that sampling
// prunes by.
//
// Shapes   noise [count]; words, sound [count].
// Cost     4 bytes written (and 4 read, 8 written by noise_of_words) and about 100 instructions a token.
// Launch   a thread a token, 256 a block.
// Numerics noise has NoiseField's bits. sound has bit 0 where gumbel_above is an upper bound and near enough, bit 1 where gumbel_below is a
//          lower bound, bit 2 where least_word does not rule the word out.
#include "noise.cuh"

struct NoiseFieldArgs {
    float* noise;
    const int* words;
    int* sound;
    u64 request;
    NoiseKey key;
    int position;
    int count;
};

extern "C" __global__ void noise_field(const __grid_constant__ NoiseFieldArgs a) {
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x < a.count) {
        Noise noise = {a.key, a.request, (u32) a.position};
        a.noise[x] = gumbel(noise.words(x & ~3).of(x));
    }
}

extern "C" __global__ void noise_of_words(const __grid_constant__ NoiseFieldArgs a) {
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x < a.count) {
        u32 word = (u32) a.words[x];
        float variate = gumbel(word);
        float above = gumbel_above(word);
        a.noise[x] = variate;
        a.sound[x] = (above >= variate && above <= variate + 2.f * GUMBEL_DOUBT ? 1 : 0) | (gumbel_below(word) <= variate ? 2 : 0)
            | (word >= least_word(variate - 1e-3f) && variate >= GUMBEL_LEAST && variate <= GUMBEL_LARGEST ? 4 : 0);
    }
}
