// Moves inside the paged cache, in all layers: to[i] = from[i] for i under count, in ascending order, so that a move may read what an
// earlier one wrote. A place is a slot (one token's keys and values) or a whole page.
//
// Shapes   cache [layers][pages][page], in units of UNIT = 16, 4 or 2 bytes, the largest that divides a head; from, to I32 [count]. A
//          place p lies at (p / places_per_page) * page_units + (p % places_per_page) * place_units of its layer; its column c lies
//          (c / run) * run_stride + c % run behind that.
// Cost     reads and writes count * layers * columns * UNIT bytes; no FLOPs.
// Launch   a thread owns one column of one layer and walks the moves, sixteen loads in flight; layers * tiles blocks of 128 threads.
// Numerics bits are copied. Sixteen moves are loaded before any is stored, and what one of them writes for a later one is handed on in
//          registers. Places out of range are reported and their moves left out.
#include "faults.cuh"
#include "types.cuh"

#if UNIT == 16
typedef uint4 unit;
#elif UNIT == 4
typedef u32 unit;
#else
typedef u16 unit;
#endif

struct KvMoveArgs {
    unit* cache;
    const int* from;
    const int* to;
    Fault* fault;
    i64 layer_units;
    i64 page_units;
    i64 place_units;
    i64 run_stride;
    int count;
    int places;
    int places_per_page;
    int run;
    int columns;
    u32 tiles;
};

constexpr int THREADS = 128;
constexpr int AHEAD = 16;
constexpr int PIECE = 256;

__device__ __forceinline__ i64 place_offset(const KvMoveArgs& a, int place) {
    return (place / a.places_per_page) * a.page_units + (place % a.places_per_page) * a.place_units;
}

extern "C" __global__ void __launch_bounds__(THREADS) kv_move(const __grid_constant__ KvMoveArgs a) {
    __shared__ i64 sources[PIECE];
    __shared__ i64 targets[PIECE];
    // Of the moves that are loaded together, the last one before this that writes what this reads, or -1.
    __shared__ int handed[PIECE];
    u32 layer = blockIdx.x / a.tiles;
    int column = (blockIdx.x % a.tiles) * THREADS + threadIdx.x;
    unit* base = a.cache + layer * a.layer_units + (column / a.run) * a.run_stride + column % a.run;
    for (int start = 0; start < a.count; start += PIECE) {
        int piece = a.count - start < PIECE ? a.count - start : PIECE;
        for (int i = threadIdx.x; i < PIECE; i += THREADS) {
            i64 source = -1;
            i64 target = -1;
            if (i < piece) {
                int from = a.from[start + i];
                int to = a.to[start + i];
                bool bad_from = from < 0 || from >= a.places;
                if (!bad_from && to >= 0 && to < a.places) {
                    source = place_offset(a, from);
                    target = place_offset(a, to);
                } else if (blockIdx.x == 0) {
                    report(a.fault, FAULT_INDEX, start + i, bad_from ? from : to);
                }
            }
            sources[i] = source;
            targets[i] = target;
        }
        __syncthreads();
        for (int i = threadIdx.x; i < PIECE; i += THREADS) {
            int from = -1;
            for (int j = i / AHEAD * AHEAD; j < i; j++) {
                from = sources[i] >= 0 && targets[j] == sources[i] ? j % AHEAD : from;
            }
            handed[i] = from;
        }
        __syncthreads();
        if (column < a.columns) {
            for (int first = 0; first < piece; first += AHEAD) {
                unit v[AHEAD];
#pragma unroll
                for (int j = 0; j < AHEAD; j++) {
                    i64 source = sources[first + j];
                    if (source >= 0) {
                        v[j] = base[source];
                    }
                }
#pragma unroll
                for (int j = 1; j < AHEAD; j++) {
                    int from = handed[first + j];
                    // The same in all threads.
                    if (from >= 0) {
#pragma unroll
                        for (int i = 0; i < j; i++) {
                            v[j] = i == from ? v[i] : v[j];
                        }
                    }
                }
#pragma unroll
                for (int j = 0; j < AHEAD; j++) {
                    i64 target = targets[first + j];
                    if (target >= 0) {
                        base[target] = v[j];
                    }
                }
            }
        }
        __syncthreads();
    }
}
