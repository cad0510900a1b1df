// What a kernel found wrong, for the host to read when it next waits: the first writer wins (Faults.java has the messages).
#pragma once

struct Fault {
    int code;
    int kernel;
    int row;
    int value;
};

constexpr int FAULT_LOGITS_NAN = 1;
constexpr int FAULT_LOGITS_INFINITE = 2;
constexpr int FAULT_INDEX = 3;
constexpr int FAULT_NO_PAGE = 4;
constexpr int FAULT_BUDGET = 5;

__device__ __forceinline__ void report(Fault* fault, int code, int row, int value) {
    if (atomicCAS(&fault->code, 0, code) == 0) {
        fault->row = row;
        fault->value = value;
    }
}
