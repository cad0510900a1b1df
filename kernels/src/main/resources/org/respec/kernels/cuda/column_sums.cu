// target[c] += sum over r of partials[r][c]: the ordered second pass of gradients that blocks have summed in part.
//
// Shapes   partials float [rows x cols] with a row stride, target float [cols].
// Cost     reads 4 * rows * cols bytes, rows * cols FLOPs.
// Launch   a block of 32 columns x 8 threads.
// Numerics each of the 8 sums an eighth of the rows in ascending order, one thread adds the eight in order: a function of rows alone.
#include "types.cuh"

struct ColumnSumsArgs {
    const float* partials;
    float* target;
    i64 stride;
    int rows;
    int cols;
};

constexpr int COLUMNS = 32;
constexpr int PARTS = 8;

extern "C" __global__ void column_sums(const __grid_constant__ ColumnSumsArgs a) {
    __shared__ float sums[PARTS][COLUMNS];
    int lane = threadIdx.x % COLUMNS;
    int part = threadIdx.x / COLUMNS;
    int c = blockIdx.x * COLUMNS + lane;
    int each = (a.rows + PARTS - 1) / PARTS;
    float sum = 0.f;
    if (c < a.cols) {
        int end = (part + 1) * each < a.rows ? (part + 1) * each : a.rows;
#pragma unroll 8
        for (int r = part * each; r < end; r++) {
            sum += a.partials[r * a.stride + c];
        }
    }
    sums[part][lane] = sum;
    __syncthreads();
    if (part == 0 && c < a.cols) {
        sum = sums[0][lane];
#pragma unroll
        for (int p = 1; p < PARTS; p++) {
            sum += sums[p][lane];
        }
        a.target[c] += sum;
    }
}
