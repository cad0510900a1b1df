// A head of a fused query-key-value row, spread over a team of lanes with a run of N elements of either half each: RMS norm and rotation.
#pragma once
#include "packs.cuh"
#include "warp.cuh"

constexpr int N = pack16<storage>::N;

// Sum of the head's squares, in every lane of its team: a chain over the lane's low and high run, then a tree over the team.
__device__ __forceinline__ float head_squares(const float (&low)[N], const float (&high)[N], int team_bits) {
    float sum = 0.f;
#pragma unroll
    for (int j = 0; j < N; j++) {
        sum = fmaf(low[j], low[j], sum);
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
        sum = fmaf(high[j], high[j], sum);
    }
    for (int step = (1 << team_bits) >> 1; step > 0; step >>= 1) {
        sum += __shfl_xor_sync(FULL, sum, step);
    }
    return sum;
}

// The lane's runs of both halves of a head, or of a row of the rope table: cosines stand `half` before sines.
template <typename T> __device__ __forceinline__ raw_runs<N, 2, T> fetch_halves(const T* p, int half, int live) {
    const T* at[2] = {p, p + half};
    return fetch_runs<N>(at, live);
}

// n = head * scale * weight, then out[i] = n[i] c - n[i + half] s, out[i + half] = n[i + half] c + n[i] s. Which product is fused with
// the sum is said here, not left to the compiler, so that all kernels give the same bits.
__device__ __forceinline__ void norm_rotate(float (&low)[N], float (&high)[N], float scale, const raw_runs<N, 2, parameter>& weights,
                                            const raw_runs<N, 2, float>& rope) {
    float low_weight[N];
    float high_weight[N];
    float cosine[N];
    float sine[N];
    weights.unpack(0, low_weight);
    weights.unpack(1, high_weight);
    rope.unpack(0, cosine);
    rope.unpack(1, sine);
#pragma unroll
    for (int j = 0; j < N; j++) {
        float l = __fmul_rn(__fmul_rn(low[j], scale), low_weight[j]);
        float h = __fmul_rn(__fmul_rn(high[j], scale), high_weight[j]);
        low[j] = __fmaf_rn(l, cosine[j], -__fmul_rn(h, sine[j]));
        high[j] = __fmaf_rn(h, cosine[j], __fmul_rn(l, sine[j]));
    }
}

// A lane's part of a head: elements from i on of either half, of which `live` exist; none where it is not over 0.
struct HeadPart {
    int head;
    int i;
    int live;
};

// The lane's part in a block's tile of heads; heads are queries, then keys, then values.
template <typename Args> __device__ __forceinline__ HeadPart head_part(const Args& a, u32 tile) {
    HeadPart part;
    part.head = tile * (blockDim.x >> a.team_bits) + (threadIdx.x >> a.team_bits);
    part.i = (threadIdx.x & ((1 << a.team_bits) - 1)) * N;
    part.live = part.head < a.heads + 2 * a.kv_heads ? a.dim / 2 - part.i : 0;
    return part;
}

// The lane's part of a row; queries and keys are normalised and rotated, values stay as they are. False where the lane has none.
// `head` was fetched before the position was known.
template <typename Args>
__device__ __forceinline__ bool turned_head(const Args& a, const HeadPart& part, const raw_runs<N, 2, storage>& head, int position,
                                            float (&low)[N], float (&high)[N]) {
    int half = a.dim / 2;
    bool turned = part.head < a.heads + a.kv_heads;
    int live = turned ? part.live : 0;
    const parameter* weight = (part.head < a.heads ? a.q_weight : a.k_weight) + part.i;
    raw_runs<N, 2, parameter> weights = fetch_halves(weight, half, live);
    raw_runs<N, 2, float> rope = fetch_halves(a.rope + position * a.rope_stride + part.i, half, live);
    head.unpack(0, low);
    head.unpack(1, high);
    float sum = head_squares(low, high, a.team_bits);
    if (part.live <= 0) {
        return false;
    }
    if (turned) {
        norm_rotate(low, high, 1.f / sqrtf(sum / a.dim + a.eps), weights, rope);
    }
    return true;
}
