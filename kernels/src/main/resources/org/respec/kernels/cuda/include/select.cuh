// Finding where a row's largest values end, by count (top-k) or by mass (top-p): one block a row, no sort. The row is read a few times,
// out of the L2 cache where that holds the rows at work (50 MB do not hold a float row of 152k for each of 132 multiprocessors). Values
// are told apart digit by digit of 11 bits, the first digit being the distance from the maximum in steps of 1/64, which spreads a
// softmax's values evenly; then the bits themselves. Once few enough values share the first digit they are put in a list, and the row
// is read no more. Counts and masses are integers (masses in units of 2^-40), added by atomics, so the result does not depend on the
// order of the threads.
#pragma once
#include "faults.cuh"
#include "math.cuh"
#include "ptx.cuh"
#include "types.cuh"
#include "vocab.cuh"
#include "warp.cuh"

constexpr int DIGITS = 2048;
constexpr int LISTED = 1024;
// Pieces of 16 bytes that a thread has on their way at once: few rows are few blocks, whose threads would mostly wait.
constexpr int AHEAD = 2;
constexpr float MASS_UNIT = 1099511627776.f;

// The host's exponential of a value below the maximum, in units of 2^-40: exact from 2^-17 up.
__device__ __forceinline__ u64 mass_of(float value, float top) {
    return (u64) rintf(exact_exp(__fadd_rn(value, -top)) * MASS_UNIT);
}

// Shared memory adds no 64 bits at once but by comparing and swapping until nobody came between, and most tokens of a large vocabulary
// have no mass at all. So the halves are added one by one, with what the lower one carries over.
__device__ __forceinline__ void add_mass(u64* to, u64 mass) {
    if (mass == 0) {
        return;
    }
    u32* halves = (u32*) to;
    u32 low = (u32) mass;
    u32 before = atomicAdd(halves, low);
    u32 high = (u32) (mass >> 32) + (before + low < low ? 1 : 0);
    if (high != 0) {
        atomicAdd(halves + 1, high);
    }
}

struct SelectMemory {
    u64 masses[DIGITS];
    u32 counts[DIGITS];
    u64 sums[WARP];
    u32 keys[LISTED];
    u64 above;
    u64 total;
    u64 mass;
    int digit;
    int count;
    int listed;
};

// The scaled logits of one row.
struct Row {
    const storage* logits;
    int vocab;
    float inverse;

    __device__ __forceinline__ float value(int token) const { return __fmul_rn(to_float(logits[token]), inverse); }

    template <typename Visit> __device__ __forceinline__ void visit_pack(int token, const pack16<storage>& raw, Visit visit) const {
#pragma unroll
        for (int i = 0; i < pack16<storage>::N; i++) {
            visit(token + i, __fmul_rn(to_float(raw.at[i]), inverse));
        }
    }

    // Calls visit(token, value) for every token, in the same order in each thread every time.
    template <typename Visit> __device__ __forceinline__ void each(Visit visit) const {
        constexpr int N = pack16<storage>::N;
        if (aligned16(logits) && vocab % N == 0) {
            int step = blockDim.x * N;
            int token = threadIdx.x * N;
#pragma unroll 1
            for (; token + (AHEAD - 1) * step < vocab; token += AHEAD * step) {
                pack16<storage> raw[AHEAD];
#pragma unroll
                for (int p = 0; p < AHEAD; p++) {
                    raw[p] = *(const pack16<storage>*) (logits + token + p * step);
                }
#pragma unroll
                for (int p = 0; p < AHEAD; p++) {
                    visit_pack(token + p * step, raw[p], visit);
                }
            }
#pragma unroll 1
            for (; token < vocab; token += step) {
                visit_pack(token, *(const pack16<storage>*) (logits + token), visit);
            }
        } else {
#pragma unroll 1
            for (int token = threadIdx.x; token < vocab; token += blockDim.x) {
                visit(token, value(token));
            }
        }
    }
};

// The row's maximum, or a NaN if it holds one, in all threads.
__device__ __forceinline__ float row_top(const Row& row, float* shared) {
    float top = -INFINITY;
    float nan = 0.f;
    row.each([&](int token, float value) {
        top = fmaxf(top, value);
        nan = value != value ? 1.f : nan;
    });
    top = block_max(top, shared);
    return block_max(nan, shared) > 0.f ? __int_as_float(0x7fffffff) : top;
}

// Reports a maximum that no softmax has.
__device__ __forceinline__ void report_top(Fault* fault, int row, float top) {
    if (top != top) {
        report(fault, FAULT_LOGITS_NAN, row, 0);
    } else if (fabsf(top) == INFINITY) {
        report(fault, FAULT_LOGITS_INFINITE, row, __float_as_int(top));
    }
}

// The largest values of a row: those over `least`, and of those equal to it the `ties` smallest tokens, or `every` one.
struct Cut {
    u32 least;
    u64 ties;
    bool every;
};

// Weights stand in memory.counts or .masses. Finds the digit at which the sum from the largest digit down first reaches `need`; then
// memory.digit is that digit, .above the sum over it, .count and .mass what it holds itself; .total is the sum of all. All threads call.
template <bool MASS> __device__ __forceinline__ void find_digit(SelectMemory& m, u64 need) {
    int lane = threadIdx.x % WARP;
    int warp = threadIdx.x / WARP;
    int each = DIGITS / blockDim.x;
    int from = DIGITS - 1 - (int) threadIdx.x * each;
    u64 own = 0;
    for (int i = 0; i < each; i++) {
        own += MASS ? m.masses[from - i] : m.counts[from - i];
    }
    u64 sum = own;
#pragma unroll
    for (int step = 1; step < WARP; step <<= 1) {
        u64 before = __shfl_up_sync(FULL, sum, step);
        sum += lane >= step ? before : 0;
    }
    if (lane == WARP - 1) {
        m.sums[warp] = sum;
    }
    __syncthreads();
    u64 above = sum - own;
    for (int w = 0; w < warp; w++) {
        above += m.sums[w];
    }
    if (above < need && above + own >= need) {
        int digit = from;
        while (above + (MASS ? m.masses[digit] : m.counts[digit]) < need) {
            above += MASS ? m.masses[digit] : m.counts[digit];
            digit--;
        }
        m.digit = digit;
        m.above = above;
        m.count = m.counts[digit];
        m.mass = m.masses[digit];
    }
    __syncthreads();
}

__device__ __forceinline__ void clear_digits(SelectMemory& m) {
    for (int i = threadIdx.x; i < DIGITS; i += blockDim.x) {
        m.counts[i] = 0;
        m.masses[i] = 0;
    }
    __syncthreads();
}

// The sum of all masses, in all threads.
__device__ __forceinline__ u64 total_mass(SelectMemory& m) {
    u64 own = 0;
    for (int i = threadIdx.x; i < DIGITS; i += blockDim.x) {
        own += m.masses[i];
    }
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        own += __shfl_xor_sync(FULL, own, step);
    }
    if (threadIdx.x % WARP == 0) {
        m.sums[threadIdx.x / WARP] = own;
    }
    __syncthreads();
    u64 sum = 0;
    for (int w = 0; w < (int) blockDim.x / WARP; w++) {
        sum += m.sums[w];
    }
    __syncthreads();
    return sum;
}

__device__ __forceinline__ int distance_digit(float value, float top) {
    return DIGITS - 1 - (int) fminf(__fmul_rn(__fadd_rn(top, -value), 64.f), DIGITS - 1.f);
}

// The `keep` largest values (MASS false), or the fewest that hold `share` of the mass (MASS true), of a row with maximum `top`, NaNs and
// infinite maxima excluded. Only values that `within` allows count.
template <bool MASS> __device__ __forceinline__ Cut select(SelectMemory& m, const Row& row, float top, u64 keep, float share, Cut within) {
    // Of the values equal to within.least some may be out, but which ones does not matter here: thread 0 adds those that are in.
    u32 edge = within.least;
    u64 in_edge = within.every ? 0 : within.ties;
    u64 need = keep;
    int shift = 0;
    u32 prefix = 0;
    int first = 0;
    bool listed = false;
    for (int level = 0; level < 4; level++) {
        int next = level == 1 ? 21 : level == 2 ? 10 : 0;
        auto add = [&](u32 key, u64 times) {
            if (level > 1 && key >> shift != prefix >> shift) {
                return;
            }
            float value = unordered(key);
            if (level > 0 && distance_digit(value, top) != first) {
                return;
            }
            int digit = level == 0 ? distance_digit(value, top) : (int) (key >> next) & (level == 3 ? 1023 : DIGITS - 1);
            atomicAdd(&m.counts[digit], (u32) times);
            if (MASS) {
                add_mass(&m.masses[digit], mass_of(value, top) * times);
            }
        };
        clear_digits(m);
        if (listed) {
            for (int i = threadIdx.x; i < m.listed; i += blockDim.x) {
                add(m.keys[i], 1);
            }
        } else {
            row.each([&](int token, float value) {
                u32 key = ordered(value);
                if (key > edge || (key == edge && within.every)) {
                    add(key, 1);
                }
            });
        }
        if (threadIdx.x == 0 && in_edge > 0) {
            add(edge, in_edge);
        }
        __syncthreads();
        if (MASS && level == 0) {
            u64 total = total_mass(m);
            need = (u64) ceil((double) share * (double) total);
            need = min(max(need, 1ull), total);
        }
        find_digit<MASS>(m, need);
        need -= m.above;
        if (level == 0) {
            first = m.digit;
            if (m.count <= LISTED) {
                if (threadIdx.x == 0) {
                    m.listed = 0;
                }
                __syncthreads();
                row.each([&](int token, float value) {
                    u32 key = ordered(value);
                    if ((key > edge || (key == edge && within.every)) && distance_digit(value, top) == first) {
                        m.keys[atomicAdd(&m.listed, 1)] = key;
                    }
                });
                listed = true;
            }
        } else {
            prefix |= (u32) m.digit << next;
            shift = next;
        }
        __syncthreads();
    }
    u64 equal = m.count;
    u64 ties = need;
    if (MASS) {
        u64 each = mass_of(unordered(prefix), top);
        ties = (need + each - 1) / each;
    }
    return {prefix, ties, ties == equal && (prefix != edge || within.every)};
}

// The largest token that the cut keeps of those equal to its least value.
__device__ __forceinline__ int last_tie(SelectMemory& m, const Row& row, Cut cut) {
    if (cut.every) {
        return row.vocab - 1;
    }
    int high = max(0, 32 - __clz(row.vocab - 1) - 11);
    clear_digits(m);
    row.each([&](int token, float value) {
        if (ordered(value) == cut.least) {
            atomicAdd(&m.counts[DIGITS - 1 - (token >> high)], 1u);
        }
    });
    __syncthreads();
    find_digit<false>(m, cut.ties);
    int upper = DIGITS - 1 - m.digit;
    u64 need = cut.ties - m.above;
    __syncthreads();
    clear_digits(m);
    row.each([&](int token, float value) {
        if (ordered(value) == cut.least && token >> high == upper) {
            atomicAdd(&m.counts[DIGITS - 1 - (token & ((1 << high) - 1))], 1u);
        }
    });
    __syncthreads();
    find_digit<false>(m, need);
    return upper << high | (DIGITS - 1 - m.digit);
}

// Whether the cut keeps a token, given `last` from last_tie.
__device__ __forceinline__ bool keeps(Cut cut, int last, int token, u32 key) {
    return key > cut.least || (key == cut.least && token <= last);
}
