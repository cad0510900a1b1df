// y = x w^T, or y += x w^T, for many rows: the same bits as gemm_rows.cu, with tiles that share both operands.
//
// Shapes   x [rows x inputs], w [outputs x inputs] bf16, aligned to 16 bytes with row strides that keep it; y [rows x outputs], float or
//          bf16.
// Cost     2 * rows * outputs * inputs FLOPs; reads 256 * inputs * 2 bytes a tile, mostly from L2: 64 FLOPs a byte.
// Launch   a block of 8 warps makes 128 outputs of 128 rows, a warp 64 outputs of 32 rows; spans of both operands go through STAGES
//          buffers in shared memory, STAGES * 32 KiB, fetched with cp.async and swizzled so that neither writes nor reads meet in a bank.
//          Grid: row tiles x output tiles, taken by groups of GROUP row tiles, rows first. Results pass through the same shared memory
//          and go out in runs of 16 bytes; where they are added to, the old ones are fetched all at once before.
// Numerics sums in float, in the order of gemm.cuh: the block walks the slices one after another and adds each one's sum to the total.
#include "gemm.cuh"

constexpr int THREADS = 256;
constexpr int TILE = 128;
constexpr int PIECES = SPAN / 8;
constexpr int OPERAND = TILE * PIECES;
constexpr int OUT_TILES = 4;
constexpr int ROW_TILES = 4;
// Of the results a thread writes TURNS runs of RUN outputs, RUNS to a row.
constexpr int RUN = 8;
constexpr int RUNS = TILE / RUN;
constexpr int TURNS = TILE * RUNS / THREADS;
// Floats from a row of the finished tile to the next: lanes that hold four rows by eight outputs meet in no bank.
constexpr int PITCH = TILE + 4;
// Tiles of rows that take their turn at the same weights: few enough that blocks at work together find both operands in L2.
constexpr u32 GROUP = 16;

// Where the 16 bytes `piece` of a tile's row lie.
__device__ __forceinline__ int place(int row, int piece) { return row * PIECES + (piece ^ (row % 2 * 4)); }

// The span after b in the order of sums; `slice` is that of b.
__device__ __forceinline__ void advance(int& b, int& slice, int spans) {
    b += SLICES;
    if (b >= spans) {
        slice++;
        b = slice;
    }
}

// Inputs k and on, eight of them, of rows `first`, `first + 32`, ...
__device__ __forceinline__ void fetch(Copies& copies, uint4* to, const bf16* base, i64 stride, int first, int rows, int k, int inputs) {
    constexpr int STEP = THREADS / PIECES;
    const bf16* from = base + first * stride + k;
#pragma unroll
    for (int i = 0; i < TILE / STEP; i++) {
        int live = live_inputs(first + i * STEP < rows, k, inputs);
        copies.copy(to + i * STEP * PIECES, live ? from : base, live * 2);
        from += STEP * stride;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) gemm_tiles(const __grid_constant__ GemmArgs a) {
    extern __shared__ uint4 buffers[];
    int warp = threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    int g = lane / 4;
    int q = lane % 4;
    u32 block = blockIdx.x + blockIdx.y * gridDim.x;
    u32 group = block / (GROUP * gridDim.y) * GROUP;
    u32 width = min(GROUP, gridDim.x - group);
    u32 within = block % (GROUP * gridDim.y);
    int first_row = (group + within % width) * TILE;
    int first_output = within / width * TILE;
    int own_output = warp % 2 * (OUT_TILES * 16);
    int own_row = warp / 2 * (ROW_TILES * 8);
    int spans = (a.inputs + SPAN - 1) / SPAN;

    int next = 0;
    int next_slice = 0;
    Copies copies;
    auto fill = [&](int step) {
        if (step < spans) {
            int row = threadIdx.x / PIECES;
            int piece = threadIdx.x % PIECES;
            uint4* to = buffers + step % STAGES * (2 * OPERAND) + place(row, piece);
            fetch(copies, to, a.w, a.w_stride, first_output + row, a.outputs, next * SPAN + piece * 8, a.inputs);
            fetch(copies, to + OPERAND, a.x, a.x_stride, first_row + row, a.rows, next * SPAN + piece * 8, a.inputs);
            advance(next, next_slice, spans);
        }
        copies.commit();
    };

    float d[OUT_TILES][ROW_TILES][4];
    float total[OUT_TILES][ROW_TILES][4];
    clear(d);
    clear(total);
    for (int step = 0; step < STAGES - 1; step++) {
        fill(step);
    }
    int span = 0;
    int slice = 0;
    for (int step = 0; step < spans; step++) {
        copies.wait<STAGES - 2>();
        __syncthreads();
        fill(step + STAGES - 1);
        const uint4* w = buffers + step % STAGES * (2 * OPERAND);
        const uint4* x = w + OPERAND;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            half_span(d, [&](int o) { return w[place(own_output + o * 8 + g, half * 4 + q)]; },
                      [&](int r) { return x[place(own_row + r * 8 + g, half * 4 + q)]; });
        }
        int done = slice;
        advance(span, slice, spans);
        if (slice != done) {
#pragma unroll
            for (int o = 0; o < OUT_TILES; o++) {
#pragma unroll
                for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        total[o][r][i] += d[o][r][i];
                        d[o][r][i] = 0.f;
                    }
                }
            }
        }
    }
    Results<RUN, TURNS> results;
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        results.place(a, t, first_row + t * (TILE / TURNS) + threadIdx.x / RUNS, first_output + threadIdx.x % RUNS * RUN);
    }
    results.fetch(a);
    // Where operands lay the tile is put in order, so that 16 neighbours write 128 neighbouring outputs.
    float* tile = (float*) buffers;
    copies.wait<0>();
    __syncthreads();
#pragma unroll
    for (int o = 0; o < OUT_TILES; o++) {
#pragma unroll
        for (int r = 0; r < ROW_TILES; r++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                tile[(own_row + r * 8 + 2 * q + i % 2) * PITCH + own_output + o * 16 + i / 2 * 8 + g] = total[o][r][i];
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int t = 0; t < TURNS; t++) {
        float sum[RUN];
        read_shared(tile + (t * (TILE / TURNS) + threadIdx.x / RUNS) * PITCH + threadIdx.x % RUNS * RUN, sum);
        results.put(a, t, sum);
    }
}
