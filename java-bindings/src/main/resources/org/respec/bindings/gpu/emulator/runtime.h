// What the parts of the emulator's runtime share. One launch runs at a time in a process (a lock sees to it), so the state of the
// running block is plain global data: that is what makes a read of threadIdx or a barrier cheap.
#pragma once
#include <cstddef>
#include <cstdint>
#include <pthread.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

constexpr u32 WARP = 32;
constexpr u32 MOST_THREADS = 1024;
constexpr u32 MOST_WARPS = MOST_THREADS / WARP;
constexpr u64 MOST_SHARED = 227 * 1024;
constexpr u64 PAGE = 4096;
constexpr u64 STACK = 128 * 1024;
constexpr u64 MOST_ARGUMENTS = 4096;
constexpr u64 MOST_REPORT = 4096;
constexpr u64 SHARED_PAGES = (MOST_SHARED + PAGE - 1) / PAGE * PAGE;
constexpr u64 SHARED_GUARD = 16 * PAGE;

#define EXPORT extern "C" __attribute__((visibility("default")))
#define COLD __attribute__((noinline, cold))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

// A CUDA thread. The first four words are read by kernels (cuda_shim.h).
struct alignas(64) Thread {
    u32 x, y, z, lane;
    u32 warp;
    u32 index;
    u32 warp_since;   // checker: accesses of its warp before this tick are ordered before what it does now
    u32 fence_tick;   // checker: tick of its last __threadfence
    u64 value;        // what it brought to a warp operation
    u64 result;       // what it gets
    u32 source;       // lane a shuffle takes from
    u32 mask;         // whom it waits for
    u8 waits;         // Wait
    u8 operation;     // of the warp or barrier
    void* at;         // return address of the call it waits in
    void* sp;         // while it does not run
    char* stack;      // top of its stack while it has one
};

enum Wait : u8 { WAIT_NONE, WAIT_WARP, WAIT_BARRIER };

// Threads that meet, by the lowest lane of their mask.
struct Meeting {
    u32 mask, arrived;
    u8 operation;
};

struct Warp {
    u32 exists;     // lanes there are
    u32 ready;      // lanes that could run and do not
    u32 unstarted;  // of these, lanes that have not begun
    u32 exited;
    Meeting meetings[WARP];
};

struct Allocation {
    char* begin;
    u64 bytes;
    u32 number;
    u8 kind;  // 0 device memory, 1 page-locked host memory
    u8 alive;
};

// Device memory of one driver: a range of addresses of its own in which allocations lie apart.
struct Device {
    char* base;         // of the address range
    u64 span;           // its bytes
    char* shadow;       // checker: four bytes for each byte of the range; null if unchecked
    u32* pages;         // for each page, index of the allocation that it belongs to, plus 1
    Allocation* table;
    u32 table_size, table_capacity;
    u64 next;           // offset where the next allocation may begin
    u64 memory_bytes;
    u64 used_bytes;
    u32 checked;
    u32 seconds;        // that a launch may take
    Device* other;      // the next of all devices
    // What went wrong in its last launch: words, place in the code, and block and thread.
    char report[MOST_REPORT];
    u64 report_at;
    u32 report_place[6];
};

// The launch that runs.
struct Launch {
    Device* device;
    void (*entry)(const void*);
    const void* arguments;
    u32 grid[3], block[3];
    u32 threads, warps;
    u64 static_bytes, dynamic_bytes;
    char* static_shared;
    char* code;          // begin of the kernel's library; its code and constants end where the shared variables begin
    void* host_sp;
    Warp* warp;          // of the running thread
    u32 ready_warps;
    u32 live;            // threads that have not exited
    u32 at_barrier;
    u32 barrier_true;
    u8 barrier_kind;
    volatile u8 running;
    volatile int signal;     // a fault that the signal handler took
    void* volatile fault_address;
    volatile u8 fault_known;
    void* volatile fault_at;
    char report[MOST_REPORT];
    u32 report_size;
    void* report_at;     // where in the code
    u64 block_number;
};

extern "C" Thread* emu_self __attribute__((visibility("default")));
extern "C" u32 emu_geometry[9] __attribute__((visibility("default")));
extern Launch launch;
extern Thread threads[MOST_THREADS];
extern Warp warps[MOST_WARPS];
// Dynamic shared memory, which kernels' extern arrays are made to name, with pages behind it that nobody may touch.
extern "C" char emu_dynamic_shared[SHARED_PAGES + SHARED_GUARD] __attribute__((visibility("default")));
extern Device* first_device;
// Held by whoever launches, or changes memory.
extern pthread_mutex_t one_at_a_time;

// Writes to the report. A place in the code is written as @ and its hexadecimal offset in the kernel's library.
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
// Writes "thread (3,0,0)".
void say_thread(u32 index);
u64 code_offset(void* at);
// Ends the launch with what was said.
[[noreturn]] void fail(void* at);

// memory.cpp
const Allocation* allocation_of(const Device* device, u64 address);
// Says which buffer is nearest to an address.
void say_nearest(const Device* device, u64 address);

// checker.cpp
void checker_begin_launch();
void checker_begin_block();
void checker_barrier();
void checker_warp(u32 mask);
void checker_fence(int scope);
void checker_atomic(u64 address, u32 bytes, void* at);
