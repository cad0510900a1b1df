// Checks every access of a kernel. Kernels are compiled with -fsanitize=thread, which makes the compiler call __tsan_read4(address) and
// its like before each access that other threads could see; the functions are here instead of in the compiler's library.
//
// Bounds: an access must lie in one living allocation of the device, in the block's shared memory, in the thread's stack, or, to read,
// in the kernel's constants.
//
// Races: a clock ticks at every launch, block, barrier and __syncwarp. Memory has a shadow with, for each 2 bytes, the tick and thread of
// the last write and of the last read. Two accesses of different threads, at least one of them a write and not both atomic, are a race
// unless they are ordered:
//   in a block       by a barrier between them, or within a warp by a __syncwarp of the later one (its mask is not looked at);
//   between blocks   if the earlier block did a __threadfence after its access and then, in the same thread, an atomic on some address,
//                    and the later block did an atomic on that address before its own ("last block done"). A thread that does such an
//                    atomic orders its whole block. Chains over a third block are not seen as ordered.
// Not seen: races between single bytes (they are only checked for bounds), and of several readers the one who a __syncwarp of others
// hides. Volatile accesses count as atomic ones. Shuffles and votes order nothing, as CUDA has it.
#include "runtime.h"
#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <unordered_map>
#include <vector>

namespace {

// A word of shadow: tick (20 bits), thread (10 bits), 2 bits of kind. Greater means later.
constexpr u32 TICK = 1u << 12;
constexpr u32 LAST_TICK = ~0u - 2 * TICK;
constexpr u32 THREAD_SHIFT = 2;
constexpr u32 ATOMIC = 1, SEVERAL = 2;                                // kind of a write: an atomic, and not the only one
constexpr u32 ONE = 0, IN_WARP = 1, IN_BLOCK = 2, IN_BLOCKS = 3;      // kind of a read: who read since the last write

// Shadow of 16 bytes.
struct alignas(64) Line {
    u32 written[8];
    u32 read[8];
};

struct State {
    u64 device_base, device_span;
    const u32* pages;
    const Allocation* table;
    char* shadow;
    u32 now;       // the clock, in units of TICK
    u32 launched;  // clock when the launch began: words below are of earlier launches
    u32 begun;     // clock when the block began
    u32 met;       // clock at its last barrier
};

// Threads that did an atomic on an address after a fence.
struct Release {
    u64 block;
    u32 until;  // what the block did up to this word is ordered before what others do after an atomic on the address
};

struct Location {
    u64 acquired_by;  // number of the last block that did an atomic here, plus 1
    std::vector<Release> releases;
};

State state = {0, 0, nullptr, nullptr, nullptr, TICK, 0, 0, 0};
Line dynamic_shadow[MOST_SHARED / 16];
Line static_shadow[MOST_SHARED / 16 + 2];
std::vector<u32> block_begins;                    // clock at the begin of each block of this launch
std::unordered_map<u64, Location> locations;      // of this launch
std::vector<const Location*> acquired;            // of this block

// Forgets all that happened, when the clock has run out of numbers.
COLD void restart_clock() {
    for (Device* device = first_device; device != nullptr; device = device->other) {
        for (u32 i = 0; i < device->table_size; i++) {
            const Allocation& a = device->table[i];
            if (a.alive && device->checked) {
                u64 from = ((u64) a.begin - (u64) device->base) / PAGE * PAGE;
                u64 to = ((u64) a.begin - (u64) device->base + a.bytes + PAGE - 1) / PAGE * PAGE;
                madvise(device->shadow + 4 * from, 4 * (to - from), MADV_DONTNEED);
            }
        }
    }
    memset(dynamic_shadow, 0, sizeof(dynamic_shadow));
    memset(static_shadow, 0, sizeof(static_shadow));
    for (Thread& thread : threads) {
        thread.warp_since = thread.fence_tick = 0;
    }
    locations.clear();
    acquired.clear();
    block_begins.assign(block_begins.size(), TICK);
    state.launched = state.begun = state.met = TICK;
    state.now = 2 * TICK;
}

inline void tick() {
    state.now += TICK;
    if (UNLIKELY(state.now >= LAST_TICK)) {
        restart_clock();
    }
}

inline u32 thread_of(u32 word) { return (word >> THREAD_SHIFT) & (MOST_THREADS - 1); }

// Number of the block that wrote a word, in this launch.
u64 block_of(u32 word) {
    return (u64) (std::upper_bound(block_begins.begin(), block_begins.end(), word) - block_begins.begin()) - 1;
}

// Whether what another block did up to a word is ordered before what this one does now.
COLD bool ordered_between_blocks(u32 word) {
    u64 block = block_of(word);
    for (const Location* location : acquired) {
        const std::vector<Release>& releases = location->releases;
        auto found = std::lower_bound(releases.begin(), releases.end(), block, [](const Release& r, u64 b) { return r.block < b; });
        if (found != releases.end() && found->block == block && word < found->until) {
            return true;
        }
    }
    return false;
}

void say_place(u64 address) {
    u64 dynamic = address - (u64) emu_dynamic_shared;
    u64 fixed = address - (u64) launch.static_shared;
    if (dynamic < MOST_SHARED) {
        say("byte %llu of dynamic shared memory", (unsigned long long) dynamic);
    } else if (fixed < launch.static_bytes) {
        say("byte %llu of static shared memory", (unsigned long long) fixed);
    } else {
        const Allocation* a = allocation_of(launch.device, address);
        say("byte %llu of a device buffer of %llu bytes", (unsigned long long) (address - (u64) a->begin), (unsigned long long) a->bytes);
    }
}

COLD [[noreturn]] void race(u64 address, const char* does, const char* did, u32 word, bool several, void* at) {
    say("race on ");
    say_place(address);
    say(": ");
    say_thread(emu_self->index);
    say(" %s what ", does);
    if (several) {
        say("several threads %s, at last ", did);
    }
    say_thread(thread_of(word));
    const char* verb = several ? "" : did;
    const char* space = several ? "" : " ";
    if (word < state.begun) {
        u64 number = block_of(word);
        u32 x = (u32) (number % launch.grid[0]), y = (u32) (number / launch.grid[0] % launch.grid[1]);
        u32 z = (u32) (number / launch.grid[0] / launch.grid[1]);
        say(" of block (%u,%u,%u)%s%s, and nothing orders the two blocks (a __threadfence and an atomic there, an atomic here)", x, y, z,
            space, verb);
    } else {
        say(" of the same block%s%s, and there is no barrier between", space, verb);
    }
    fail(at);
}

// Whether the thread may now touch what the word's thread wrote or alone read.
inline bool ordered(u32 word, const Thread* self) {
    if (word < state.begun) {
        return ordered_between_blocks(word);
    }
    return word < state.met || thread_of(word) == self->index
        || (thread_of(word) / WARP == self->warp && word < self->warp_since);
}

enum Access { READ, WRITE, ATOMIC_WRITE, ATOMIC_READ };

// Whether all that a word may stand for is ordered before now without a further look: it is of an earlier launch (or block, in shared
// memory: stale is where those end) or was before this block's last barrier.
inline bool past(u32 word, u32 stale) { return word - stale >= state.begun - stale && word < state.met; }

// Whether a write is the thread's own, or its warp's before a __syncwarp.
inline bool is_own(u32 word, u32 mine, const Thread* self) {
    u32 other = (word ^ mine) & ((MOST_THREADS - 1) << THREAD_SHIFT);
    return word >= state.begun && (word & SEVERAL) == 0 && (other == 0 || (other < WARP << THREAD_SHIFT && word < self->warp_since));
}

// The word of a read after one more.
inline u32 merged(u32 read, u32 mine, u32 stale, const Thread* self) {
    if (read < stale) {
        return mine;
    }
    if (read < state.begun || (read & 3) == IN_BLOCKS) {
        return mine | IN_BLOCKS;
    }
    if (read < state.met) {
        return mine;
    }
    if (thread_of(read) / WARP != self->warp || (read & 3) == IN_BLOCK) {
        return mine | IN_BLOCK;
    }
    return read >= self->warp_since && (thread_of(read) != self->index || (read & 3) == IN_WARP) ? mine | IN_WARP : mine;
}

// Checks an access against the words of its memory and brings them up to date.
template <Access ACCESS> inline void note(u32& written, u32& read, u32 mine, u32 stale, u64 address, void* at) {
    const Thread* self = emu_self;
    constexpr bool atomic = ACCESS == ATOMIC_WRITE || ACCESS == ATOMIC_READ;
    constexpr bool writes = ACCESS == WRITE || ACCESS == ATOMIC_WRITE;
    constexpr const char* does = ACCESS == READ ? "reads" : ACCESS == WRITE ? "writes" : "atomically changes";
    u32 w = written;
    u32 kind_of_write = atomic ? ATOMIC : 0;
    if (w >= stale) {
        if (atomic && (w & ATOMIC)) {
            // Of several atomics only the last is known.
            kind_of_write |= (w & SEVERAL) && !(w >= state.begun && w < state.met) ? SEVERAL : !ordered(w, self) ? SEVERAL : 0;
        } else if (w & SEVERAL ? w >= state.met && acquired.empty() : !ordered(w, self)) {
            race(address, does, w & ATOMIC ? "atomically changed" : "wrote", w, (w & SEVERAL) != 0, at);
        }
    }
    u32 r = read;
    if (writes) {
        if (r >= stale) {
            u32 kind = r & 3;
            bool fine;
            if (kind == ONE) {
                fine = ordered(r, self);
            } else if (kind == IN_BLOCKS) {
                fine = !acquired.empty();
            } else {
                fine = r < state.begun ? ordered_between_blocks(r)
                    : r < state.met || (kind == IN_WARP && thread_of(r) / WARP == self->warp && r < self->warp_since);
            }
            if (!fine) {
                race(address, does, "read", r, kind != ONE, at);
            }
        }
        written = mine | kind_of_write;
        read = 0;
    } else if (ACCESS == READ) {
        read = merged(r, mine, stale, self);
    }
}

template <Access ACCESS> __attribute__((noinline)) void note_pair(u32* written, u32* read, u32 mine, u32 stale, u64 address, void* at) {
    note<ACCESS>(written[0], read[0], mine, stale, address, at);
    note<ACCESS>(written[1], read[1], mine, stale, address + 2, at);
}

// Four bytes at a multiple of four: as a rule both halves have the same history, and one that needs no further look.
template <Access ACCESS> inline void note_word(Line* line, u32 half, u32 mine, u32 stale, u64 address, void* at) {
    u32* written = &line->written[half];
    u32* read = &line->read[half];
    u64 w, r;
    memcpy(&w, written, 8);
    memcpy(&r, read, 8);
    u32 w0 = (u32) w, r0 = (u32) r;
    u64 both = mine * 0x100000001ull;
    const Thread* self = emu_self;
    if (ACCESS == READ) {
        if (r == both) {
            return;
        }
        u32 w1 = (u32) (w >> 32);
        if (LIKELY((u32) (r >> 32) == r0 && (past(w0, stale) || is_own(w0, mine, self))
            && (w1 == w0 || past(w1, stale) || is_own(w1, mine, self)))) {
            // Many threads read it since the last barrier: one more changes nothing.
            if ((r0 ^ mine) < TICK && (r0 & 3) >= IN_BLOCK) {
                return;
            }
            u64 pair = merged(r0, mine, stale, self) * 0x100000001ull;
            memcpy(read, &pair, 8);
            return;
        }
    } else if (ACCESS == WRITE) {
        if (LIKELY((u32) (w >> 32) == w0 && (u32) (r >> 32) == r0 && (past(w0, stale) || is_own(w0, mine, self))
            && past(r0, stale) && (r0 < stale || (r0 & 3) != IN_BLOCKS))) {
            memcpy(written, &both, 8);
            memset(read, 0, 8);
            return;
        }
    }
    note_pair<ACCESS>(written, read, mine, stale, address, at);
}

COLD [[noreturn]] void out_of_bounds(u64 address, u64 bytes, bool writes, void* at) {
    say_thread(emu_self->index);
    say(" %s %llu bytes at 0x%llx, ", writes ? "writes" : "reads", (unsigned long long) bytes, (unsigned long long) address);
    long long dynamic = (long long) (address - (u64) emu_dynamic_shared);
    long long fixed = (long long) (address - (u64) launch.static_shared);
    if (dynamic >= -4096 && dynamic < (long long) MOST_SHARED + 4096) {
        say("byte %lld of dynamic shared memory, of which the launch has %llu bytes", dynamic, (unsigned long long) launch.dynamic_bytes);
    } else if (fixed >= -4096 && fixed < (long long) launch.static_bytes + 4096) {
        say("byte %lld of static shared memory, of which the kernel has %llu bytes", fixed, (unsigned long long) launch.static_bytes);
    } else {
        say("out of bounds");
        say_nearest(launch.device, address);
    }
    fail(at);
}

// An address that is neither in device nor in shared memory: the thread's stack or, to read, a constant. Else it is an error.
__attribute__((noinline)) void elsewhere(u64 address, u64 bytes, bool writes, void* at) {
    u64 below = (u64) emu_self->stack - address;
    if (below <= STACK && bytes <= below) {
        return;
    }
    if (!writes && address >= (u64) launch.code && address + bytes <= (u64) launch.static_shared) {
        return;
    }
    out_of_bounds(address, bytes, writes, at);
}

// Where the shadow of an address is, and below which word it is stale; null if it has none.
template <Access ACCESS> inline Line* line_of(u64 address, u64 bytes, u32* stale, void* at) {
    constexpr bool writes = ACCESS == WRITE || ACCESS == ATOMIC_WRITE;
    u64 offset = address - state.device_base;
    if (LIKELY(offset < state.device_span)) {
        u32 number = state.pages[offset / PAGE];
        const Allocation* a = &state.table[number - 1];
        if (UNLIKELY(number == 0 || address < (u64) a->begin || address + bytes > (u64) a->begin + a->bytes)) {
            out_of_bounds(address, bytes, writes, at);
        }
        *stale = state.launched;
        return (Line*) (state.shadow + (offset & ~15ull) * 4);
    }
    *stale = state.begun;
    offset = address - (u64) emu_dynamic_shared;
    if (offset < launch.dynamic_bytes) {
        if (UNLIKELY(offset + bytes > launch.dynamic_bytes)) {
            out_of_bounds(address, bytes, writes, at);
        }
        return &dynamic_shadow[offset / 16];
    }
    offset = address - (u64) launch.static_shared;
    if (offset < launch.static_bytes) {
        if (UNLIKELY(offset + bytes > launch.static_bytes)) {
            out_of_bounds(address, bytes, writes, at);
        }
        return &static_shadow[address / 16 - (u64) launch.static_shared / 16];
    }
    elsewhere(address, bytes, writes, at);
    return nullptr;
}

COLD [[noreturn]] void misaligned(u64 address, u64 bytes, void* at) {
    say_thread(emu_self->index);
    say(" accesses %llu bytes at the misaligned address 0x%llx", (unsigned long long) bytes, (unsigned long long) address);
    fail(at);
}

template <u32 BYTES, Access ACCESS> inline void access(u64 address, void* at) {
    u32 stale;
    if (BYTES > 1 && UNLIKELY(address % BYTES != 0)) {
        misaligned(address, BYTES, at);
    }
    Line* line = line_of<ACCESS>(address, BYTES, &stale, at);
    if (line == nullptr || BYTES == 1) {
        return;
    }
    u32 half = (u32) (address / 2) & 7;
    u32 mine = state.now | emu_self->index << THREAD_SHIFT;
    if (BYTES == 2) {
        if (ACCESS == READ ? line->read[half] == mine : line->written[half] == mine && line->read[half] == 0) {
            return;
        }
        note<ACCESS>(line->written[half], line->read[half], mine, stale, address, at);
    } else {
        for (u32 i = 0; i < BYTES / 4; i++) {
            note_word<ACCESS>(line, half + 2 * i, mine, stale, address + 4 * i, at);
        }
    }
}

// Any number of bytes anywhere.
template <Access ACCESS> void access_range(u64 address, u64 bytes, void* at) {
    if (bytes == 0) {
        return;
    }
    u32 stale;
    if (line_of<ACCESS>(address, bytes, &stale, at) == nullptr) {
        return;
    }
    u32 mine = state.now | emu_self->index << THREAD_SHIFT;
    // Bytes alone at either end are only checked for bounds.
    for (u64 a = (address + 1) / 2 * 2; a + 2 <= address + bytes; a += 2) {
        Line* line = line_of<ACCESS>(a, 2, &stale, at);
        note<ACCESS>(line->written[a / 2 & 7], line->read[a / 2 & 7], mine, stale, a, at);
    }
}

}  // namespace

void checker_begin_launch() {
    if (state.now >= LAST_TICK / 2) {
        restart_clock();
    }
    tick();
    state.device_base = (u64) launch.device->base;
    state.device_span = launch.device->span;
    state.pages = launch.device->pages;
    state.table = launch.device->table;
    state.shadow = launch.device->shadow;
    state.launched = state.now;
    block_begins.clear();
    locations.clear();
}

void checker_begin_block() {
    tick();
    state.begun = state.met = state.now;
    block_begins.push_back(state.now);
    acquired.clear();
}

void checker_barrier() {
    tick();
    state.met = state.now;
}

void checker_warp(u32 mask) {
    tick();
    Thread* base = emu_self - emu_self->lane;
    for (u32 rest = mask; rest != 0; rest &= rest - 1) {
        base[__builtin_ctz(rest)].warp_since = state.now;
    }
}

void checker_fence(int scope) {
    if (scope > 0) {
        emu_self->fence_tick = state.now;
    }
}

void checker_atomic(u64 address, u32 bytes, void* at) {
    if (bytes == 8) {
        access<8, ATOMIC_WRITE>(address, at);
    } else {
        access<4, ATOMIC_WRITE>(address, at);
    }
    bool fenced = emu_self->fence_tick >= state.begun;
    if (!fenced && locations.empty()) {
        return;
    }
    u64 block = launch.block_number;
    auto found = locations.find(address);
    if (found == locations.end()) {
        if (!fenced) {
            return;
        }
        found = locations.try_emplace(address).first;
    }
    Location& location = found->second;
    if (location.acquired_by != block + 1) {
        location.acquired_by = block + 1;
        acquired.push_back(&location);
    }
    if (fenced) {
        u32 until = emu_self->fence_tick + TICK;
        if (location.releases.empty() || location.releases.back().block != block) {
            location.releases.push_back({block, until});
        } else {
            location.releases.back().until = std::max(location.releases.back().until, until);
        }
    }
}

// ---- what instrumented code calls ----

#define CHECK(name, bytes, kind) \
    EXPORT void name(void* address) { access<bytes, kind>((u64) address, __builtin_return_address(0)); }
#define CHECK_ALL(bytes) \
    CHECK(__tsan_read##bytes, bytes, READ) \
    CHECK(__tsan_write##bytes, bytes, WRITE) \
    CHECK(__tsan_volatile_read##bytes, bytes, ATOMIC_READ) \
    CHECK(__tsan_volatile_write##bytes, bytes, ATOMIC_WRITE)
CHECK_ALL(1)
CHECK_ALL(2)
CHECK_ALL(4)
CHECK_ALL(8)
CHECK_ALL(16)
#define CHECK_UNALIGNED(bytes) \
    EXPORT void __tsan_unaligned_read##bytes(void* address) { access_range<READ>((u64) address, bytes, __builtin_return_address(0)); } \
    EXPORT void __tsan_unaligned_write##bytes(void* address) { access_range<WRITE>((u64) address, bytes, __builtin_return_address(0)); }
CHECK_UNALIGNED(2)
CHECK_UNALIGNED(4)
CHECK_UNALIGNED(8)
CHECK_UNALIGNED(16)
EXPORT void __tsan_read_range(void* address, u64 bytes) { access_range<READ>((u64) address, bytes, __builtin_return_address(0)); }
EXPORT void __tsan_write_range(void* address, u64 bytes) { access_range<WRITE>((u64) address, bytes, __builtin_return_address(0)); }
EXPORT void __tsan_init() {}
EXPORT void __tsan_func_entry(void*) {}
EXPORT void __tsan_func_exit() {}

// memcpy and memset of kernels, in every mode.
EXPORT void emu_touch(const void* address, u64 bytes, int writes) {
    if (!launch.device->checked) {
        return;
    }
    if (writes) {
        access_range<WRITE>((u64) address, bytes, __builtin_return_address(0));
    } else {
        access_range<READ>((u64) address, bytes, __builtin_return_address(0));
    }
}

// What -fsanitize=alignment,bounds calls.
struct SourceLocation {
    const char* file;
    u32 line, column;
};
struct TypeDescriptor {
    uint16_t kind, info;
    char name[1];
};
struct Mismatch {
    SourceLocation location;
    const TypeDescriptor* type;
    u8 log_alignment, kind;
};
struct OutOfArray {
    SourceLocation location;
    const TypeDescriptor* array;
    const TypeDescriptor* index;
};

EXPORT void __ubsan_handle_type_mismatch_v1(Mismatch* data, u64 address) {
    say_thread(emu_self->index);
    say(" accesses %s at the misaligned address 0x%llx, which is no multiple of %u", data->type->name, (unsigned long long) address,
        1u << data->log_alignment);
    fail(__builtin_return_address(0));
}

EXPORT void __ubsan_handle_out_of_bounds(OutOfArray* data, u64 index) {
    say_thread(emu_self->index);
    say(" takes element %lld of an array of type %s", (long long) (int) index, data->array->name);
    fail(__builtin_return_address(0));
}
