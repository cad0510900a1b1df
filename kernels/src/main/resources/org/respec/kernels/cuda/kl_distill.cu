// Fused distillation: weighted forward KL(teacher || student) of every row, and its gradient in place of the student's logits.
// Two entries: kl_distill (the teacher is its top k log-probabilities and the log of the mass left over, the tail; KL may be blended
// with total variation, of whose gradient all unnamed tokens have the same multiple of their probability, so that it costs two more
// sums over the named ones) and kl_distill_dense (the teacher is a whole row of logits or log-probabilities with a temperature of its
// own).
//
// Shapes   logits [rows x vocab] in, gradient out; top k: ids, log_probs [rows x k], tails [rows]; dense: teacher [rows x teacher's
//          vocab]; weights, losses [rows]; id_map [teacher's vocab] or columns [vocab] where the student's vocabulary is a part of the
//          teacher's. Storage of logits float or bf16 (BF16=1), of a dense teacher float or bf16 (TEACHER_BF16=1), rows with strides.
// Cost     DRAM: the student's row once in, once out, and a dense teacher's once in: 2 (dense: 2 + teacher) * rows * vocab *
//          sizeof(storage) bytes; what a top-k teacher adds is k * 12 bytes a row. Two exponentials an element (dense: four), about 15
//          FLOPs (dense: 30). The second pass reads what fits from shared memory and the rest again, from L2: a row of 152k bf16 is
//          304 KB, of which an H100 block keeps some 200 KB, so 132 blocks leave 14 MB in a 50 MB L2. Rows past what shared memory and
//          a share of L2 hold (f32 or dense rows of 152k: 400 KB a block, 53 MB) reread a part from DRAM.
// Launch   one block a row, 32 to 1024 threads (a function of vocab and storage); 16 bytes a thread and load, four loads in flight; top
//          k: what fits shared memory is fetched whole with cp.async, beside the look-up of names.
//          What the first pass read last, and L2 surely has, is reread first. Rows that fit half an SM's shared memory run two or
//          more to an SM.
// Numerics thread t has packs t, t + threads, ... of 16 bytes of logits whether loads are wide or, for unaligned rows and the last
//          pack, element by element: so the order of sums, and every bit, is a function of the row's values alone. Online maximum and
//          sum in float with 2^x, then warp and block trees. Named tokens are kept out of the sum of the others by a bit map, so that
//          the mass outside the top k has no cancellation. Not the CPU's bits.
// Faults   an id out of range is reported, and its row left as it was (dense: its row's results mean nothing).
#include "types.cuh"
#include "warp.cuh"
#include "ptx.cuh"
#include "faults.cuh"

#if defined(TEACHER_BF16) && TEACHER_BF16
typedef bf16 teacher_storage;
#else
typedef float teacher_storage;
#endif

typedef pack16<storage> pack;
constexpr int N = pack::N;
// Loads in flight per thread.
constexpr int FLIGHT = 4;
// The stash is fetched in so many parts, the last of which takes what is left.
constexpr int STASH_GROUPS = 4;
constexpr int BOTH = 2;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN2 = 0.6931471805599453f;
constexpr float LEAST_REST = 1e-9f;
constexpr float NO_TAIL = -30.f;

// The teacher's values beside one pack of logits.
struct alignas(N * sizeof(teacher_storage) >= 16 ? 16 : 8) teacher_pack {
    teacher_storage at[N];
};

struct KlDistillArgs {
    storage* logits;
    const int* ids;
    const float* log_probs;
    const float* tails;
    const int* id_map;
    const float* weights;
    float* losses;
    Fault* fault;
    i64 logit_stride;
    i64 id_stride;
    i64 log_prob_stride;
    int vocab;
    int teacher_vocab;
    int k;
    int stash_packs;
    float inverse;
    float variation;
};

struct KlDistillDenseArgs {
    storage* logits;
    const teacher_storage* teacher;
    const int* columns;
    const float* weights;
    float* losses;
    Fault* fault;
    i64 logit_stride;
    i64 teacher_stride;
    int vocab;
    int teacher_vocab;
    int stash_packs;
    float inverse;
    float teacher_inverse;
};

__device__ __forceinline__ void widen(const pack& v, float* x) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = to_float(v.at[i]);
    }
}

// Four floats, or eight as bf16.
__device__ __forceinline__ void narrow(const float* x, pack16<float>& v) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v.at[i] = x[i];
    }
}

__device__ __forceinline__ void narrow(const float* x, pack16<bf16>& v) {
    pack16<u32> words;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        words.at[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
    }
    v = *(pack16<bf16>*) &words;
}

// One row of logits in packs. The first `full` can be read and written whole; the others, and all of an unaligned row, go element
// by element, and what lies past the row's end reads as -infinity.
struct Row {
    storage* at;
    int vocab;
    int packs;
    int full;

    __device__ __forceinline__ Row(storage* at, int vocab)
        : at(at), vocab(vocab), packs((vocab + N - 1) / N), full(aligned16(at) ? vocab / N : 0) {}

    __device__ __forceinline__ pack load(int p) const { return *(const pack*) (at + p * N); }

    __device__ __forceinline__ void store(int p, const float* x) {
        pack v;
        narrow(x, v);
        *(pack*) (at + p * N) = v;
    }

    __device__ __forceinline__ void gather(int p, float* x) const {
#pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = p * N + i < vocab ? to_float(at[p * N + i]) : -INFINITY;
        }
    }

    __device__ __forceinline__ void scatter(int p, const float* x) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (p * N + i < vocab) {
                from_float(x[i], at[p * N + i]);
            }
        }
    }

    // This thread's first pack that is not before `from`.
    __device__ __forceinline__ int first(int from) const {
        int turns = from > (int) threadIdx.x ? (from - (int) threadIdx.x + (int) blockDim.x - 1) / (int) blockDim.x : 0;
        return threadIdx.x + turns * blockDim.x;
    }

    __device__ __forceinline__ void zero() {
        float zeros[N] = {};
        for (int p = threadIdx.x; p < full; p += blockDim.x) {
            store(p, zeros);
        }
        for (int p = first(full); p < packs; p += blockDim.x) {
            scatter(p, zeros);
        }
    }
};

// Maximum and sum of 2^((x - maximum) * scale) over what was added; scale is positive.
struct Online {
    float max = -INFINITY;
    float sum = 0.f;

    __device__ __forceinline__ void add(const float* x, float scale) {
        float top = max;
#pragma unroll
        for (int i = 0; i < N; i++) {
            top = fmaxf(top, x[i]);
        }
        // All at -infinity: nothing to add, and a difference of infinities would be NaN. A NaN goes into the sum below.
        float safe = top == -INFINITY ? 0.f : top;
        float more = 0.f;
#pragma unroll
        for (int i = 0; i < N; i++) {
            more += exp2_approx((x[i] - safe) * scale);
        }
        sum = fmaf(sum, exp2_approx((max - safe) * scale), more);
        max = top;
    }

    // This thread's sum under another, larger maximum.
    __device__ __forceinline__ float under(float other, float scale) const {
        return max == -INFINITY && sum == 0.f ? 0.f : sum * exp2_approx((max - other) * scale);
    }
};

// Hides tokens with a name.
__device__ __forceinline__ void mask(const u32* bits, int p, float* x) {
    u32 names = bits[p * N / 32] >> (p * N % 32) & ((1u << N) - 1);
    if (names) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = names >> i & 1 ? -INFINITY : x[i];
        }
    }
}

// Half the sign; 0 of 0.
__device__ __forceinline__ float half_sign(float x) {
    return x > 0.f ? 0.5f : x < 0.f ? -0.5f : 0.f;
}

// Logits to their share of the gradient: 2^((x - top) * scale) * factor.
__device__ __forceinline__ void exponentials(float* x, float top, float scale, float factor) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = exp2_approx((x[i] - top) * scale) * factor;
    }
}

extern "C" __global__ void __launch_bounds__(1024) kl_distill(const __grid_constant__ KlDistillArgs a) {
    // Packs of the row, which both passes find here; a bit for every token that the teacher names; ids, logits and log-probabilities
    // of those.
    extern __shared__ __align__(16) u8 dynamic[];
    __shared__ float reduce[WARP];
    __shared__ int refused;
    pack* stash = (pack*) dynamic;
    u32* bits = (u32*) (stash + a.stash_packs);
    int words = (a.vocab + 31) / 32;
    int* tokens = (int*) (bits + words);
    float* named = (float*) (tokens + a.k);
    float* log_probs = named + a.k;

    i64 row = blockIdx.x;
    Row logits(a.logits + row * a.logit_stride, a.vocab);
    // Asked for together with the weight: one wait in place of three.
    const int* ids = a.ids + row * a.id_stride;
    const float* teacher = a.log_probs + row * a.log_prob_stride;
    float weight = a.weights[row];
    float log_tail = a.tails[row];
    int first_id = threadIdx.x < a.k ? ids[threadIdx.x] : 0;
    float first_log_prob = threadIdx.x < a.k ? teacher[threadIdx.x] : 0.f;
    if (weight == 0.f) {
        logits.zero();
        if (threadIdx.x == 0) {
            a.losses[row] = 0.f;
        }
        return;
    }
    // What the second pass finds here is on its way before names are looked up: every thread its own packs, so no barrier is needed.
    int threads = blockDim.x;
    int kept = min(a.stash_packs, logits.full);
    Copies copies;
#pragma unroll
    for (int g = 0; g < STASH_GROUPS; g++) {
        int end = g == STASH_GROUPS - 1 ? kept : min(kept, (g + 1) * FLIGHT * threads);
        for (int p = g * FLIGHT * threads + threadIdx.x; p < end; p += threads) {
            copies.copy(stash + p, logits.at + p * N, 16);
        }
        copies.commit();
    }
    for (int w = threadIdx.x; w < words; w += blockDim.x) {
        bits[w] = 0;
    }
    if (threadIdx.x == 0) {
        refused = 0;
    }
    __syncthreads();
    for (int j = threadIdx.x; j < a.k; j += blockDim.x) {
        int token = j == threadIdx.x ? first_id : ids[j];
        log_probs[j] = j == threadIdx.x ? first_log_prob : teacher[j];
        bool good = token >= 0 && token < a.teacher_vocab;
        int own = good && a.id_map ? a.id_map[token] : token;
        good = good && own < a.vocab && own >= (a.id_map ? -1 : 0);
        if (!good) {
            report(a.fault, FAULT_INDEX, (int) row, token);
            atomicOr(&refused, 1);
        } else if (own >= 0) {
            atomicOr(&bits[own / 32], 1u << (own % 32));
            named[j] = to_float(logits.at[own]);
        }
        tokens[j] = good ? own : -1;
    }
    __syncthreads();
    if (refused) {
        copies.wait<0>();
        return;
    }

    // First pass: maximum and sum of all tokens without a name.
    float scale = a.inverse * LOG2_E;
    Online others;
#pragma unroll 1
    for (int g = 0; g < STASH_GROUPS; g++) {
        static_assert(STASH_GROUPS == 4);
        if (g == 0) {
            copies.wait<3>();
        } else if (g == 1) {
            copies.wait<2>();
        } else if (g == 2) {
            copies.wait<1>();
        } else {
            copies.wait<0>();
        }
        int end = g == STASH_GROUPS - 1 ? kept : min(kept, (g + 1) * FLIGHT * threads);
        for (int p = g * FLIGHT * threads + threadIdx.x; p < end; p += threads) {
            float x[N];
            widen(stash[p], x);
            mask(bits, p, x);
            others.add(x, scale);
        }
    }
    for (int base = logits.first(kept); base < logits.full; base += FLIGHT * threads) {
        pack v[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            if (base + f * threads < logits.full) {
                v[f] = logits.load(base + f * threads);
            }
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            int p = base + f * threads;
            if (p < logits.full) {
                float x[N];
                widen(v[f], x);
                mask(bits, p, x);
                others.add(x, scale);
            }
        }
    }
    for (int p = logits.first(logits.full); p < logits.packs; p += threads) {
        float x[N];
        logits.gather(p, x);
        mask(bits, p, x);
        others.add(x, scale);
    }
    float top = others.max;
    for (int j = threadIdx.x; j < a.k; j += threads) {
        top = tokens[j] >= 0 ? fmaxf(top, named[j]) : top;
    }
    top = block_max(top, reduce);
    float rest = block_sum(others.under(top, scale), reduce);
    float part = 0.f;
    for (int j = threadIdx.x; j < a.k; j += threads) {
        part += tokens[j] >= 0 ? exp2_approx((named[j] - top) * scale) : 0.f;
    }
    float total = block_sum(part, reduce) + rest;
    float log_total = logf(total);

    // The loss, and what the student lacks.
    part = 0.f;
    float missing = 0.f;
    for (int j = threadIdx.x; j < a.k; j += threads) {
        float log_p = log_probs[j];
        float p = expf(log_p);
        if (tokens[j] < 0) {
            missing += p;
        } else if (p > 0.f) {
            part = fmaf(p, log_p - ((named[j] - top) * a.inverse - log_total), part);
        }
    }
    float loss = block_sum(part, reduce);
    missing = block_sum(missing, reduce);
    float tail = (log_tail <= NO_TAIL ? 0.f : expf(log_tail)) + missing;
    rest = fmaxf(rest / total, LEAST_REST);
    loss = tail > 0.f ? fmaf(tail, logf(tail) - logf(rest), loss) : loss;
    float factor = 1.f - tail / rest;
    // Total variation: half the sum of |q - p|, and the mean under q of half the signs of q - p.
    float v = a.variation;
    float mean = 0.f;
    if (v > 0.f) {
        part = 0.f;
        for (int j = threadIdx.x; j < a.k; j += threads) {
            if (tokens[j] >= 0) {
                float q = exp2_approx((named[j] - top) * scale) / total;
                float above = q - expf(log_probs[j]);
                part += fabsf(above);
                mean = fmaf(q, half_sign(above), mean);
            }
        }
        float distance = 0.5f * (block_sum(part, reduce) + fabsf(rest - tail));
        mean = fmaf(rest, half_sign(rest - tail), block_sum(mean, reduce));
        loss = fmaf(v, distance - loss, loss);
        factor = fmaf(v, half_sign(rest - tail) - mean - factor, factor);
    }
    if (threadIdx.x == 0) {
        a.losses[row] = loss;
    }

    // Second pass: every token as if it had no name; those that have are overwritten after the barrier.
    float share = weight * a.inverse / total;
    float outside = share * factor;
    for (int base = logits.first(a.stash_packs); base < logits.full; base += FLIGHT * threads) {
        pack v[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            if (base + f * threads < logits.full) {
                v[f] = logits.load(base + f * threads);
            }
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            if (base + f * threads < logits.full) {
                float x[N];
                widen(v[f], x);
                exponentials(x, top, scale, outside);
                logits.store(base + f * threads, x);
            }
        }
    }
    for (int p = threadIdx.x; p < kept; p += threads) {
        float x[N];
        widen(stash[p], x);
        exponentials(x, top, scale, outside);
        logits.store(p, x);
    }
    for (int p = logits.first(logits.full); p < logits.packs; p += threads) {
        float x[N];
        logits.gather(p, x);
        exponentials(x, top, scale, outside);
        logits.scatter(p, x);
    }
    __syncthreads();
    for (int j = threadIdx.x; j < a.k; j += threads) {
        if (tokens[j] >= 0) {
            float e = exp2_approx((named[j] - top) * scale);
            float p = expf(log_probs[j]);
            float g = fmaf(e, share, -(weight * a.inverse * p));
            if (v > 0.f) {
                g = fmaf(v, e * share * (half_sign(e / total - p) - mean) - g, g);
            }
            from_float(g, logits.at[tokens[j]]);
        }
    }
}

__device__ __forceinline__ void widen(const teacher_pack& v, float* x) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = to_float(v.at[i]);
    }
}

// The teacher's row as the student's packs see it.
struct TeacherRow {
    const teacher_storage* at;
    const int* columns;
    int vocab;
    int width;

    __device__ __forceinline__ bool wide() const { return !columns && ((u64) at & (alignof(teacher_pack) - 1)) == 0; }

    __device__ __forceinline__ teacher_pack load(int p) const { return *(const teacher_pack*) (at + p * N); }

    __device__ __forceinline__ void gather(int p, float* x, Fault* fault, int row) const {
#pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = -INFINITY;
            if (p * N + i < vocab) {
                int column = columns ? columns[p * N + i] : p * N + i;
                if (column >= 0 && column < width) {
                    x[i] = to_float(at[column]);
                } else {
                    report(fault, FAULT_INDEX, row, column);
                }
            }
        }
    }
};

// Normalised rows of both, ready for the second pass.
struct Pair {
    float top;
    float scale;
    float log2_sum;
    float teacher_top;
    float teacher_scale;
    float teacher_log2_sum;
    float gain;

    // Turns logits x into their gradient; adds to the loss, in bits.
    __device__ __forceinline__ void gradient(float* x, const float* taught, float& loss) const {
#pragma unroll
        for (int i = 0; i < N; i++) {
            float log_q = (x[i] - top) * scale - log2_sum;
            float log_p = (taught[i] - teacher_top) * teacher_scale - teacher_log2_sum;
            float p = exp2_approx(log_p);
            loss = p > 0.f ? fmaf(p, log_p - log_q, loss) : loss;
            x[i] = gain * (exp2_approx(log_q) - p);
        }
    }
};

extern "C" __global__ void __launch_bounds__(1024) kl_distill_dense(const __grid_constant__ KlDistillDenseArgs a) {
    // Packs of both rows that the second pass finds here.
    extern __shared__ __align__(16) u8 dynamic[];
    __shared__ float reduce[WARP];
    pack* stash = (pack*) dynamic;
    teacher_pack* teacher_stash = (teacher_pack*) (stash + a.stash_packs);

    i64 row = blockIdx.x;
    Row logits(a.logits + row * a.logit_stride, a.vocab);
    TeacherRow teacher = {a.teacher + row * a.teacher_stride, a.columns, a.vocab, a.teacher_vocab};
    float weight = a.weights[row];
    // Packs that are read whole: none of a row that is unaligned on either side, or whose teacher must be gathered.
    int full = weight != 0.f && teacher.wide() ? logits.full : 0;
    int packs = weight != 0.f ? logits.packs : 0;
    int threads = blockDim.x;
    float scale = a.inverse * LOG2_E;
    float teacher_scale = a.teacher_inverse * LOG2_E;
    Online student;
    Online taught;
    for (int base = threadIdx.x; base < full; base += BOTH * threads) {
        pack v[BOTH];
        teacher_pack t[BOTH];
#pragma unroll
        for (int f = 0; f < BOTH; f++) {
            if (base + f * threads < full) {
                v[f] = logits.load(base + f * threads);
                t[f] = teacher.load(base + f * threads);
            }
        }
#pragma unroll
        for (int f = 0; f < BOTH; f++) {
            int p = base + f * threads;
            if (p < full) {
                if (p < a.stash_packs) {
                    stash[p] = v[f];
                    teacher_stash[p] = t[f];
                }
                float x[N];
                widen(v[f], x);
                student.add(x, scale);
                widen(t[f], x);
                taught.add(x, teacher_scale);
            }
        }
    }
    for (int p = logits.first(full); p < packs; p += threads) {
        float x[N];
        logits.gather(p, x);
        student.add(x, scale);
        teacher.gather(p, x, a.fault, (int) row);
        taught.add(x, teacher_scale);
    }
    Pair pair;
    pair.scale = scale;
    pair.teacher_scale = teacher_scale;
    pair.gain = weight * a.inverse;
    pair.teacher_top = block_max(taught.max, reduce);
    if (pair.teacher_top == -INFINITY) {
        // Weight 0, or a teacher without mass on the student's tokens.
        logits.zero();
        if (threadIdx.x == 0) {
            a.losses[row] = 0.f;
        }
        return;
    }
    pair.top = block_max(student.max, reduce);
    pair.log2_sum = log2f(block_sum(student.under(pair.top, scale), reduce));
    pair.teacher_log2_sum = log2f(block_sum(taught.under(pair.teacher_top, teacher_scale), reduce));

    // Two sums, so that whole packs and single elements add up in the same order.
    float near = 0.f;
    float far = 0.f;
    for (int base = logits.first(a.stash_packs); base < full; base += BOTH * threads) {
        pack v[BOTH];
        teacher_pack t[BOTH];
#pragma unroll
        for (int f = 0; f < BOTH; f++) {
            if (base + f * threads < full) {
                v[f] = logits.load(base + f * threads);
                t[f] = teacher.load(base + f * threads);
            }
        }
#pragma unroll
        for (int f = 0; f < BOTH; f++) {
            if (base + f * threads < full) {
                float x[N];
                float y[N];
                widen(v[f], x);
                widen(t[f], y);
                pair.gradient(x, y, far);
                logits.store(base + f * threads, x);
            }
        }
    }
    for (int p = threadIdx.x; p < min(a.stash_packs, full); p += threads) {
        float x[N];
        float y[N];
        widen(stash[p], x);
        widen(teacher_stash[p], y);
        pair.gradient(x, y, near);
        logits.store(p, x);
    }
    for (int p = logits.first(full); p < packs; p += threads) {
        float x[N];
        float y[N];
        logits.gather(p, x);
        teacher.gather(p, y, a.fault, (int) row);
        pair.gradient(x, y, p < a.stash_packs ? near : far);
        logits.scatter(p, x);
    }
    float loss = block_sum(near + far, reduce);
    if (threadIdx.x == 0) {
        a.losses[row] = loss * LN2;
    }
}
