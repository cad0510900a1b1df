// Runs a kernel on the host: blocks one after another, the threads of a block as fibres that switch where they meet (barriers, warp
// operations). A thread that meets nobody runs from begin to end on the stack of the one before it.
#include "runtime.h"
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <ucontext.h>

Thread* emu_self;
u32 emu_geometry[9];
Launch launch;
Thread threads[MOST_THREADS];
Warp warps[MOST_WARPS];
alignas(PAGE) char emu_dynamic_shared[SHARED_PAGES + SHARED_GUARD];

pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static pthread_t runner;
alignas(64) static char arguments_copy[MOST_ARGUMENTS];

// ---- stacks ----

static char* stacks[MOST_THREADS];   // free ones
static u32 free_stacks, made_stacks;

static char* take_stack() {
    if (free_stacks > 0) {
        return stacks[--free_stacks];
    }
    char* memory = (char*) mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        say("the host has no memory for the stack of one more thread");
        fail(nullptr);
    }
    mprotect(memory, PAGE, PROT_NONE);
    // Tops at different cache lines: stacks of the same alignment would fight for the same few sets of the cache.
    return memory + PAGE + STACK - 64 - (made_stacks++ % 32) * 192;
}

// ---- switching ----

// Ends in a return, not a jump: the processor's guess of where returns lead then stays right, as fibres wait in the same few places.
extern "C" void emu_switch(void** save, void* load);
extern "C" void emu_start(void** save, void* stack);
extern "C" void emu_fibre();
asm(R"(
.text
.hidden emu_switch
.globl emu_switch
.type emu_switch,@function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emu_switch,.-emu_switch
.hidden emu_start
.globl emu_start
.type emu_start,@function
emu_start:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    xorl %ebp, %ebp
    call emu_fibre
    ud2
.size emu_start,.-emu_start
)");

// ---- reports ----

void say(const char* format, ...) {
    va_list list;
    va_start(list, format);
    u32 room = sizeof(launch.report) - launch.report_size;
    int written = vsnprintf(launch.report + launch.report_size, room, format, list);
    va_end(list);
    launch.report_size += written < 0 ? 0 : (u32) written < room ? (u32) written : room - 1;
}

void say_thread(u32 index) {
    say("thread (%u,%u,%u)", threads[index].x, threads[index].y, threads[index].z);
}

u64 code_offset(void* at) {
    return at >= launch.code && at < launch.static_shared ? (u64) at - (u64) launch.code : 0;
}

void fail(void* at) {
    launch.report_at = at;
    void* nowhere;
    emu_switch(&nowhere, launch.host_sp);
    __builtin_unreachable();
}

static const char* operation_name(u8 waits, u8 operation) {
    static const char* const warp[] = {"__shfl_sync", "a __ballot_sync, __any_sync or __all_sync", "__syncwarp", "__match_any_sync",
        "__match_all_sync", "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync", "__reduce_min_sync", "__reduce_max_sync",
        "__reduce_and_sync", "__reduce_or_sync", "__reduce_xor_sync"};
    static const char* const barrier[] = {"__syncthreads", "__syncthreads_count", "__syncthreads_or", "__syncthreads_and"};
    return waits == WAIT_WARP ? warp[operation] : barrier[operation];
}

// Says what every thread of the block is doing, threads that do the same together.
COLD static void say_waiting() {
    u32 begin = 0;
    const char* separator = "";
    for (u32 i = 1; i <= launch.threads; i++) {
        Thread& a = threads[begin];
        bool gone = (warps[a.warp].exited >> a.lane) & 1;
        if (i < launch.threads) {
            Thread& b = threads[i];
            bool b_gone = (warps[b.warp].exited >> b.lane) & 1;
            bool alike = a.waits == b.waits && (a.waits == WAIT_NONE || (a.operation == b.operation && a.at == b.at && a.mask == b.mask));
            if (gone == b_gone && (gone || alike)) {
                continue;
            }
        }
        if (launch.report_size > sizeof(launch.report) - 400) {
            say("%s...", separator);
            return;
        }
        say(i - begin == 1 ? "%sthread %u " : "%sthreads %u to %u ", separator, begin, i - 1);
        if (gone) {
            say("left the kernel");
        } else if (a.waits == WAIT_NONE) {
            say("could go on");
        } else if (a.waits == WAIT_WARP) {
            say("at %s with mask %08x, @%llx", operation_name(a.waits, a.operation), a.mask, (unsigned long long) code_offset(a.at));
        } else {
            say("at %s, @%llx", operation_name(a.waits, a.operation), (unsigned long long) code_offset(a.at));
        }
        separator = "; ";
        begin = i;
    }
}

COLD [[noreturn]] static void fail_waiting(const char* what, void* at) {
    say("%s: ", what);
    say_waiting();
    fail(at);
}

// ---- the scheduler ----

// The next thread to run, taken off the ready ones; null if there is none. The running warp goes first.
static inline Thread* next_thread() {
    Warp* warp = launch.warp;
    if (UNLIKELY(warp->ready == 0)) {
        u32 number = (u32) (warp - warps);
        launch.ready_warps &= ~(1u << number);
        if (launch.ready_warps == 0) {
            return nullptr;
        }
        u32 later = launch.ready_warps & ~((2u << number) - 1u);
        number = (u32) __builtin_ctz(later != 0 ? later : launch.ready_warps);
        warp = &warps[number];
        launch.warp = warp;
    }
    u32 lane = (u32) __builtin_ctz(warp->ready);
    warp->ready &= warp->ready - 1;
    return &threads[(u32) (warp - warps) * WARP + lane];
}

static inline bool begins(const Thread* thread) {
    return (launch.warp->unstarted >> thread->lane) & 1;
}

// Leaves the running thread until others have made it ready again.
static inline void wait_for_others(Thread* self) {
    Thread* next = next_thread();
    if (UNLIKELY(next == nullptr)) {
        fail_waiting("deadlock, the threads of the block wait for each other", self->at);
    }
    emu_self = next;
    if (begins(next)) {
        launch.warp->unstarted &= ~(1u << next->lane);
        next->stack = take_stack();
        emu_start(&self->sp, next->stack);
    } else {
        emu_switch(&self->sp, next->sp);
    }
}

// Runs threads to their end on one stack, then goes on with one that waits, or back to the host.
extern "C" void emu_fibre() {
    Thread* self = emu_self;
    char* stack = self->stack;
    for (;;) {
        self->waits = WAIT_NONE;
        launch.entry(launch.arguments);
        self = emu_self;
        Warp* warp = launch.warp;
        warp->exited |= 1u << self->lane;
        launch.live--;
        if (UNLIKELY(launch.at_barrier > 0)) {
            fail_waiting("divergent barrier, a thread left the kernel while others wait for it", nullptr);
        }
        Thread* next = next_thread();
        if (next == nullptr) {
            stacks[free_stacks++] = stack;
            if (UNLIKELY(launch.live > 0)) {
                fail_waiting("deadlock, threads wait for one that left the kernel", nullptr);
            }
            void* nowhere;
            emu_switch(&nowhere, launch.host_sp);
        }
        emu_self = next;
        if (begins(next)) {
            launch.warp->unstarted &= ~(1u << next->lane);
            next->stack = stack;
            self = next;
            continue;
        }
        stacks[free_stacks++] = stack;
        void* nowhere;
        emu_switch(&nowhere, next->sp);
    }
}

// ---- meetings ----

static inline u64 lowest_value(u32 mask, bool is_signed, bool greatest) {
    Thread* base = emu_self - emu_self->lane;
    u32 first = (u32) __builtin_ctz(mask);
    u32 best = (u32) base[first].value;
    for (u32 rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
        u32 value = (u32) base[__builtin_ctz(rest)].value;
        bool less = is_signed ? (int32_t) value < (int32_t) best : value < best;
        best = less != greatest ? value : best;
    }
    return best;
}

// All threads of the mask are here: gives each its result.
static inline void complete(int operation, u32 mask, void* at) {
    Thread* base = emu_self - emu_self->lane;
    u64 all = 0;
    switch (operation) {
        case 0:  // EMU_SHUFFLE
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                Thread& lane = base[__builtin_ctz(rest)];
                if (UNLIKELY(((mask >> lane.source) & 1) == 0)) {
                    say_thread(lane.index);
                    say(" takes from lane %u in a shuffle, which is not there or not in the mask %08x", lane.source, mask);
                    fail(at);
                }
                lane.result = base[lane.source].value;
            }
            return;
        case 1:  // EMU_BALLOT
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                u32 lane = (u32) __builtin_ctz(rest);
                all |= base[lane].value << lane;
            }
            all |= (u64) mask << 32;
            break;
        case 2:  // EMU_SYNC_WARP
            if (launch.device->checked) {
                checker_warp(mask);
            }
            return;
        case 3:  // EMU_MATCH_ANY
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                Thread& lane = base[__builtin_ctz(rest)];
                u32 same = 0;
                for (u32 other = mask; other != 0; other &= other - 1) {
                    u32 o = (u32) __builtin_ctz(other);
                    same |= (u32) (base[o].value == lane.value) << o;
                }
                lane.result = same;
            }
            return;
        case 4:  // EMU_MATCH_ALL
            all = mask;
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                if (base[__builtin_ctz(rest)].value != base[__builtin_ctz(mask)].value) {
                    all = 0;
                }
            }
            break;
        case 5:  // EMU_SUM
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                all = (u32) (all + base[__builtin_ctz(rest)].value);
            }
            break;
        case 6:  // EMU_MIN_SIGNED
            all = lowest_value(mask, true, false);
            break;
        case 7:  // EMU_MAX_SIGNED
            all = lowest_value(mask, true, true);
            break;
        case 8:  // EMU_MIN_UNSIGNED
            all = lowest_value(mask, false, false);
            break;
        case 9:  // EMU_MAX_UNSIGNED
            all = lowest_value(mask, false, true);
            break;
        case 10:  // EMU_AND
            all = ~0u;
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                all &= base[__builtin_ctz(rest)].value;
            }
            break;
        case 11:  // EMU_OR
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                all |= base[__builtin_ctz(rest)].value;
            }
            break;
        default:  // EMU_XOR
            for (u32 rest = mask; rest != 0; rest &= rest - 1) {
                all ^= base[__builtin_ctz(rest)].value;
            }
            break;
    }
    for (u32 rest = mask; rest != 0; rest &= rest - 1) {
        base[__builtin_ctz(rest)].result = all;
    }
}

EXPORT u64 emu_warp(int operation, u32 mask, u64 value, u32 source) {
    Thread* self = emu_self;
    Warp* warp = launch.warp;
    u32 bit = 1u << self->lane;
    self->value = value;
    self->source = source;
    self->mask = mask;
    self->operation = (u8) operation;
    self->at = __builtin_return_address(0);
    // Lanes that a short last warp does not have take no part.
    u32 meet = mask & warp->exists;
    if (UNLIKELY((mask & bit) == 0)) {
        say("a warp operation with mask %08x, which leaves out the lane that calls it, %u", mask, self->lane);
        fail(self->at);
    }
    if (UNLIKELY((meet & warp->exited) != 0)) {
        self->waits = WAIT_WARP;
        fail_waiting("a warp operation names threads in its mask that have left the kernel", self->at);
    }
    Meeting& meeting = warp->meetings[__builtin_ctz(meet)];
    if (meeting.arrived == 0) {
        meeting.mask = meet;
        meeting.operation = (u8) operation;
    } else if (UNLIKELY(meeting.mask != meet || meeting.operation != (u8) operation)) {
        self->waits = WAIT_WARP;
        fail_waiting("threads of a warp meet in different operations or with different masks", self->at);
    }
    meeting.arrived |= bit;
    if (meeting.arrived == meet) {
        meeting.arrived = 0;
        complete(operation, meet, self->at);
        warp->ready |= meet & ~bit;
    } else {
        self->waits = WAIT_WARP;
        wait_for_others(self);
        self->waits = WAIT_NONE;
    }
    return self->result;
}

EXPORT u64 emu_barrier(int kind, int predicate) {
    Thread* self = emu_self;
    self->operation = (u8) kind;
    self->at = __builtin_return_address(0);
    self->waits = WAIT_BARRIER;
    self->mask = 0;
    if (launch.at_barrier == 0) {
        launch.barrier_kind = (u8) kind;
        launch.barrier_true = 0;
    }
    if (UNLIKELY(launch.barrier_kind != (u8) kind)) {
        fail_waiting("divergent barrier, threads of the block meet in barriers of different kinds", self->at);
    }
    if (UNLIKELY(launch.live != launch.threads)) {
        fail_waiting("divergent barrier, it waits for threads that have left the kernel", self->at);
    }
    launch.barrier_true += (u32) predicate;
    if (++launch.at_barrier == launch.threads) {
        launch.at_barrier = 0;
        if (launch.device->checked) {
            checker_barrier();
        }
        u64 result = (u64) launch.threads << 32 | launch.barrier_true;
        for (u32 w = 0; w < launch.warps; w++) {
            warps[w].ready = warps[w].exists;
        }
        if (kind != 0) {
            for (u32 t = 0; t < launch.threads; t++) {
                threads[t].result = result;
            }
        }
        launch.ready_warps = launch.warps == MOST_WARPS ? ~0u : (1u << launch.warps) - 1;
        launch.warp->ready &= ~(1u << self->lane);
        self->result = result;
    } else {
        wait_for_others(self);
    }
    self->waits = WAIT_NONE;
    return self->result;
}

EXPORT void emu_fence(int scope) {
    if (launch.device->checked) {
        checker_fence(scope);
    }
}

EXPORT void emu_atomic(const void* address, u32 bytes) {
    void* at = __builtin_return_address(0);
    if (UNLIKELY((u64) address % bytes != 0)) {
        say("an atomic of %u bytes at the misaligned address %p", bytes, address);
        fail(at);
    }
    if (launch.device->checked) {
        checker_atomic((u64) address, bytes, at);
    }
}

EXPORT void emu_trap() {
    say("__trap");
    fail(__builtin_return_address(0));
}

EXPORT void emu_assert_failed(const char* what, const char* file, int line) {
    const char* slash = strrchr(file, '/');
    say("assertion failed: %s (%s:%d)", what, slash == nullptr ? file : slash + 1, line);
    fail(nullptr);
}

// ---- faults ----

static struct sigaction earlier[65];
static char signal_stack[64 * 1024];

// Ends the kernel when the signal handler returns: goes on in emu_switch's second half, as if it had switched to the host.
static void leave_kernel(int number, ucontext_t* machine) {
    launch.running = 0;
    launch.signal = number;
    launch.fault_at = (void*) machine->uc_mcontext.gregs[REG_RIP];
    u64* sp = (u64*) launch.host_sp;
    machine->uc_mcontext.gregs[REG_R15] = (greg_t) sp[0];
    machine->uc_mcontext.gregs[REG_R14] = (greg_t) sp[1];
    machine->uc_mcontext.gregs[REG_R13] = (greg_t) sp[2];
    machine->uc_mcontext.gregs[REG_R12] = (greg_t) sp[3];
    machine->uc_mcontext.gregs[REG_RBX] = (greg_t) sp[4];
    machine->uc_mcontext.gregs[REG_RBP] = (greg_t) sp[5];
    machine->uc_mcontext.gregs[REG_RIP] = (greg_t) sp[6];
    machine->uc_mcontext.gregs[REG_RSP] = (greg_t) (sp + 7);
}

// Only claims what a kernel did on the thread that runs it; all else is the JVM's.
static void on_fault(int number, siginfo_t* info, void* context) {
    if (launch.running && pthread_equal(pthread_self(), runner)) {
        launch.fault_address = info->si_addr;
        launch.fault_known = info->si_code != SI_KERNEL;
        leave_kernel(number, (ucontext_t*) context);
        return;
    }
    struct sigaction& before = earlier[number];
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        sigaction(number, &before, nullptr);
    } else {
        before.sa_handler(number);
    }
}

// ---- kernels that do not end ----

static pthread_mutex_t watch = PTHREAD_MUTEX_INITIALIZER;
static bool watched;      // a launch is under way in the thread runner
static timespec deadline;

static int late_signal() { return SIGRTMIN + 5; }

// Ends the kernel if it is the kernel's own code that was interrupted: the runtime's must not be left half done.
static void on_late(int number, siginfo_t* info, void* context) {
    ucontext_t* machine = (ucontext_t*) context;
    char* at = (char*) machine->uc_mcontext.gregs[REG_RIP];
    if (launch.running && pthread_equal(pthread_self(), runner) && at >= launch.code && at < launch.static_shared) {
        leave_kernel(number, machine);
    } else if (earlier[number].sa_flags & SA_SIGINFO) {
        // Another runtime in this process, from another folder of compiled kernels.
        earlier[number].sa_sigaction(number, info, context);
    }
}

static void* watch_launches(void*) {
    for (;;) {
        timespec pause = {0, 20'000'000}, now;
        nanosleep(&pause, nullptr);
        pthread_mutex_lock(&watch);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (watched && (now.tv_sec > deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec > deadline.tv_nsec))) {
            pthread_kill(runner, late_signal());
        }
        pthread_mutex_unlock(&watch);
    }
    return nullptr;
}

static void watch_this(bool on, u32 seconds) {
    pthread_mutex_lock(&watch);
    watched = on;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += seconds;
    pthread_mutex_unlock(&watch);
}

// Once per process, before the first launch.
EXPORT void emu_initialize() {
    pthread_mutex_lock(&one_at_a_time);
    static bool done;
    if (!done) {
        done = true;
        mprotect(emu_dynamic_shared + SHARED_PAGES, SHARED_GUARD, PROT_NONE);
        static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
        for (int number : numbers) {
            struct sigaction action = {};
            action.sa_sigaction = on_fault;
            action.sa_flags = SA_SIGINFO | SA_ONSTACK;
            sigaction(number, nullptr, &earlier[number]);
            action.sa_mask = earlier[number].sa_mask;
            action.sa_flags |= earlier[number].sa_flags & (SA_RESTART | SA_NODEFER);
            sigaction(number, &action, nullptr);
        }
        struct sigaction late = {};
        late.sa_sigaction = on_late;
        late.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigaction(late_signal(), &late, &earlier[late_signal()]);
        // The watcher takes no signal that is meant for others.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t watcher;
        if (pthread_create(&watcher, nullptr, watch_launches, nullptr) == 0) {
            pthread_detach(watcher);
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    pthread_mutex_unlock(&one_at_a_time);
}

COLD static void say_signal() {
    u64 address = (u64) launch.fault_address;
    // As if it were a return address.
    launch.report_at = (char*) launch.fault_at + 1;
    if (launch.signal == late_signal()) {
        say("it did not end within %u seconds", launch.device->seconds);
    } else if (launch.signal == SIGFPE) {
        say("an integer was divided by zero");
    } else if (launch.signal == SIGILL) {
        say("an instruction that this processor does not have, or unreachable code");
    } else if (emu_self->stack != nullptr && address < (u64) emu_self->stack && address > (u64) emu_self->stack - STACK - 4 * PAGE) {
        say("a thread's stack of %llu KiB overflowed", (unsigned long long) (STACK / 1024));
    } else if (!launch.fault_known) {
        say("an access of 16 or 32 bytes to a misaligned address, or one to no possible address");
    } else {
        say("an access outside of every buffer, at address 0x%llx", (unsigned long long) address);
        say_nearest(launch.device, address);
    }
}

// ---- launches ----

// A block's data, as the launch begins.
static void prepare(const u32* block) {
    launch.threads = block[0] * block[1] * block[2];
    launch.warps = (launch.threads + WARP - 1) / WARP;
    u32 index = 0;
    for (u32 z = 0; z < block[2]; z++) {
        for (u32 y = 0; y < block[1]; y++) {
            for (u32 x = 0; x < block[0]; x++, index++) {
                Thread& t = threads[index];
                t.x = x;
                t.y = y;
                t.z = z;
                t.index = index;
                t.lane = index % WARP;
                t.warp = index / WARP;
                t.stack = nullptr;
                t.waits = WAIT_NONE;
            }
        }
    }
    memset(warps, 0, sizeof(Warp) * launch.warps);
    for (u32 w = 0; w < launch.warps; w++) {
        u32 lanes = launch.threads - w * WARP;
        warps[w].exists = lanes >= WARP ? ~0u : (1u << lanes) - 1;
    }
}

// Runs one block; false if it failed.
static bool run_block() {
    // NaN as floats of any width, -1 as integers: what a real block finds there is anything.
    memset(launch.static_shared, 0xff, launch.static_bytes);
    memset(emu_dynamic_shared, 0xff, launch.dynamic_bytes);
    for (u32 w = 0; w < launch.warps; w++) {
        warps[w].ready = warps[w].unstarted = warps[w].exists;
        warps[w].exited = 0;
    }
    launch.ready_warps = launch.warps == MOST_WARPS ? ~0u : (1u << launch.warps) - 1;
    launch.live = launch.threads;
    launch.at_barrier = 0;
    if (launch.device->checked) {
        checker_begin_block();
    }
    launch.warp = &warps[0];
    Thread* first = next_thread();
    emu_self = first;
    warps[0].unstarted &= ~1u;
    first->stack = take_stack();
    launch.running = 1;
    emu_start(&launch.host_sp, first->stack);
    launch.running = 0;
    return launch.signal == 0 && launch.report_size == 0;
}

// Runs a kernel to its end. Returns 0, or 1 with a report in the device.
EXPORT int emu_launch(Device* device, void (*entry)(const void*), const void* arguments, u32 argument_bytes, u32 grid_x,
                      u32 grid_y, u32 grid_z, u32 block_x, u32 block_y, char* code, char* static_begin, char* static_end,
                      u32 dynamic_bytes) {
    pthread_mutex_lock(&one_at_a_time);
    runner = pthread_self();
    stack_t mine = {}, before = {};
    mine.ss_sp = signal_stack;
    mine.ss_size = sizeof(signal_stack);
    sigaltstack(&mine, &before);
    launch.device = device;
    launch.entry = entry;
    // Aligned as no caller's struct need be.
    memcpy(arguments_copy, arguments, argument_bytes);
    launch.arguments = arguments_copy;
    launch.signal = 0;
    launch.report_size = 0;
    launch.report[0] = 0;
    launch.report_at = nullptr;
    launch.code = code;
    launch.static_shared = static_begin;
    launch.static_bytes = (u64) (static_end - static_begin);
    launch.dynamic_bytes = dynamic_bytes;
    const u32 grid[3] = {grid_x, grid_y, grid_z};
    const u32 block[3] = {block_x, block_y, 1};
    for (int i = 0; i < 3; i++) {
        launch.grid[i] = grid[i];
        launch.block[i] = block[i];
        emu_geometry[3 + i] = block[i];
        emu_geometry[6 + i] = grid[i];
    }
    prepare(block);
    if (device->checked) {
        checker_begin_launch();
    }
    launch.block_number = 0;
    watch_this(true, device->seconds);
    bool good = true;
    for (u32 z = 0; z < grid_z && good; z++) {
        for (u32 y = 0; y < grid_y && good; y++) {
            for (u32 x = 0; x < grid_x && good; x++) {
                emu_geometry[0] = x;
                emu_geometry[1] = y;
                emu_geometry[2] = z;
                good = run_block();
                launch.block_number++;
            }
        }
    }
    watch_this(false, 0);
    if (!good) {
        if (launch.signal != 0) {
            say_signal();
        }
        memcpy(device->report, launch.report, sizeof(launch.report));
        device->report_at = code_offset(launch.report_at);
        const u32 place[6] = {emu_geometry[0], emu_geometry[1], emu_geometry[2], emu_self->x, emu_self->y, emu_self->z};
        memcpy(device->report_place, place, sizeof(place));
        // Stacks of threads that will never go on.
        for (u32 t = 0; t < launch.threads; t++) {
            if (threads[t].stack != nullptr) {
                bool is_free = false;
                for (u32 s = 0; s < free_stacks && !is_free; s++) {
                    is_free = stacks[s] == threads[t].stack;
                }
                if (!is_free) {
                    stacks[free_stacks++] = threads[t].stack;
                }
            }
        }
    }
    fflush(stdout);
    sigaltstack(&before, nullptr);
    pthread_mutex_unlock(&one_at_a_time);
    return good ? 0 : 1;
}

EXPORT const char* emu_report(const Device* device) { return device->report; }
EXPORT u64 emu_report_at(const Device* device) { return device->report_at; }
EXPORT const u32* emu_report_place(const Device* device) { return device->report_place; }
