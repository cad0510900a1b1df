// dst[to(i)] = src[from(i)] for i under count, rows of plain bytes; an index that is not given is i itself.
//
// Shapes   src and dst are rows of `width` units with row strides in units; a unit is UNIT = 16, 4 or 2 bytes, the largest that divides
//          widths, strides and addresses. from and to are I32 [count] on the device.
// Cost     reads and writes count * width * UNIT bytes; no FLOPs.
// Launch   count * tiles blocks of up to 256 threads, four units a thread. src and dst must not overlap.
// Numerics bits are copied. Rows are written in ascending order of i: of several rows with one destination only the last is copied, which
//          its block finds by looking through the destinations behind its own. Indices out of range are reported and left out.
#include "faults.cuh"
#include "types.cuh"

#if UNIT == 16
typedef uint4 unit;
#elif UNIT == 4
typedef u32 unit;
#else
typedef u16 unit;
#endif

struct CopyRowsArgs {
    const unit* src;
    unit* dst;
    const int* from;
    const int* to;
    Fault* fault;
    i64 src_stride;
    i64 dst_stride;
    i64 width;
    int count;
    int src_rows;
    int dst_rows;
    u32 tiles;
};

constexpr int TURNS = 4;

extern "C" __global__ void copy_rows(const __grid_constant__ CopyRowsArgs a) {
    int i = blockIdx.x / a.tiles;
    u32 tile = blockIdx.x % a.tiles;
    int from = a.from ? a.from[i] : i;
    int to = a.to ? a.to[i] : i;
    bool bad_from = from < 0 || from >= a.src_rows;
    if (bad_from || to < 0 || to >= a.dst_rows) {
        if (threadIdx.x == 0 && tile == 0) {
            report(a.fault, FAULT_INDEX, i, bad_from ? from : to);
        }
        return;
    }
    if (a.to) {
        bool overwritten = false;
        for (int j = i + 1 + threadIdx.x; j < a.count; j += blockDim.x) {
            overwritten |= a.to[j] == to;
        }
        if (__syncthreads_or(overwritten)) {
            return;
        }
    }
    const unit* src = a.src + from * a.src_stride;
    unit* dst = a.dst + to * a.dst_stride;
    i64 first = (i64) tile * blockDim.x * TURNS + threadIdx.x;
    unit v[TURNS];
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        i64 c = first + t * blockDim.x;
        if (c < a.width) {
            v[t] = src[c];
        }
    }
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        i64 c = first + t * blockDim.x;
        if (c < a.width) {
            dst[c] = v[t];
        }
    }
}
