// Walks every tree from its root while a child carries the token that was sampled at its parent (the first such child in node order).
//
// Shapes   sampled [rows]; node_tokens, node_parents, path_nodes [requests x 64]; path_lengths [requests].
// Cost     512 bytes of nodes a request: latency is all there is, a chain of two loads a level.
// Launch   a warp a request, two nodes a lane, four warps a block.
// Numerics integers only: exact.
#include "faults.cuh"
#include "types.cuh"
#include "warp.cuh"

constexpr int MAX_NODES = 64;

struct VerifyTreesArgs {
    const int* first_rows;
    const int* sampled;
    const int* node_tokens;
    const int* node_parents;
    const int* node_counts;
    int* path_lengths;
    int* path_nodes;
    Fault* fault;
    int requests;
    int max_rows;
};

extern "C" __global__ void __launch_bounds__(128) verify_trees(const __grid_constant__ VerifyTreesArgs a) {
    int r = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= a.requests) {
        return;
    }
    int first = a.first_rows[r];
    int rows = a.first_rows[a.requests];
    int count = a.node_counts[r];
    if (count < 1 || count > MAX_NODES || first < 0 || rows > a.max_rows || first > rows - count) {
        if (lane == 0) {
            report(a.fault, FAULT_INDEX, r, count);
        }
        return;
    }
    i64 nodes = (i64) r * MAX_NODES;
    int low_parent = lane < count ? a.node_parents[nodes + lane] : -1;
    int low_token = lane < count ? a.node_tokens[nodes + lane] : -1;
    int high_parent = lane + WARP < count ? a.node_parents[nodes + lane + WARP] : -1;
    int high_token = lane + WARP < count ? a.node_tokens[nodes + lane + WARP] : -1;
    int node = 0;
    int length = 0;
    while (node >= 0) {
        if (lane == 0) {
            a.path_nodes[nodes + length] = node;
        }
        length++;
        int token = a.sampled[first + node];
        u32 low = __ballot_sync(FULL, lane > node && low_parent == node && low_token == token);
        u32 high = __ballot_sync(FULL, lane + WARP > node && high_parent == node && high_token == token);
        node = low != 0 ? __ffs(low) - 1 : high != 0 ? __ffs(high) - 1 + WARP : -1;
    }
    if (lane == 0) {
        a.path_lengths[r] = length;
    }
}
