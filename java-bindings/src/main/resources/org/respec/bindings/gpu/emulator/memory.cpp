// Device memory: a range of addresses that is only reserved, in which each allocation gets pages of its own with a page that nobody
// may touch on either side. Addresses are not used again before the range has been gone through, so late accesses are caught.
#include "runtime.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

constexpr u64 SHADOW = 4;  // bytes of shadow for a byte of memory
constexpr u64 ALIGNMENT = 256;

static u64 up(u64 value, u64 unit) { return (value + unit - 1) / unit * unit; }

static void* reserve(u64 bytes, int access) {
    void* memory = mmap(nullptr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

Device* first_device;

namespace {
struct Lock {
    Lock() { pthread_mutex_lock(&one_at_a_time); }
    ~Lock() { pthread_mutex_unlock(&one_at_a_time); }
};
}  // namespace

static void drop(Device* device) {
    if (device->base != nullptr) {
        munmap(device->base, device->span);
    }
    if (device->pages != nullptr) {
        munmap(device->pages, device->span / PAGE * sizeof(u32));
    }
    if (device->shadow != nullptr) {
        munmap(device->shadow, device->span * SHADOW);
    }
    free(device->table);
    free(device);
}

// Null if the host gives no such range.
EXPORT Device* emu_device_open(u64 memory_bytes, u64 span, u32 checked, u32 seconds) {
    Lock lock;
    Device* device = (Device*) calloc(1, sizeof(Device));
    device->span = span;
    device->memory_bytes = memory_bytes;
    device->checked = checked;
    device->seconds = seconds;
    device->base = (char*) reserve(span, PROT_NONE);
    device->pages = (u32*) reserve(span / PAGE * sizeof(u32), PROT_READ | PROT_WRITE);
    device->shadow = checked ? (char*) reserve(span * SHADOW, PROT_NONE) : nullptr;
    device->next = PAGE;
    if (device->base == nullptr || device->pages == nullptr || (checked && device->shadow == nullptr)) {
        drop(device);
        return nullptr;
    }
    device->other = first_device;
    first_device = device;
    return device;
}

EXPORT void emu_device_close(Device* device) {
    Lock lock;
    for (Device** link = &first_device; *link != nullptr; link = &(*link)->other) {
        if (*link == device) {
            *link = device->other;
            break;
        }
    }
    drop(device);
}

EXPORT u64 emu_device_free_bytes(const Device* device) { return device->memory_bytes - device->used_bytes; }

// Offset of so many free pages with one more on either side, or 0.
static u64 find_room(Device* device, u64 pages) {
    u64 all = device->span / PAGE;
    for (int turn = 0; turn < 2; turn++) {
        u64 from = device->next / PAGE;
        for (u64 page = from; page + pages + 1 < all;) {
            u64 free_pages = 0;
            while (free_pages < pages && device->pages[page + free_pages] == 0) {
                free_pages++;
            }
            if (free_pages == pages) {
                return page * PAGE;
            }
            page += free_pages + 2;
        }
        device->next = PAGE;
    }
    return 0;
}

// Zero-filled memory, aligned to 256 bytes, that ends close to a page that nobody may touch; 0 if there is none left.
EXPORT u64 emu_allocate(Device* device, u64 bytes, u32 kind) {
    Lock lock;
    u64 size = up(bytes == 0 ? 1 : bytes, ALIGNMENT);
    if (kind == 0 && size > device->memory_bytes - device->used_bytes) {
        return 0;
    }
    u64 mapped = up(size, PAGE);
    u64 offset = find_room(device, mapped / PAGE);
    if (offset == 0 || mprotect(device->base + offset, mapped, PROT_READ | PROT_WRITE) != 0) {
        return 0;
    }
    if (device->checked && mprotect(device->shadow + offset * SHADOW, mapped * SHADOW, PROT_READ | PROT_WRITE) != 0) {
        return 0;
    }
    if (device->table_size == device->table_capacity) {
        u32 capacity = device->table_capacity == 0 ? 256 : 2 * device->table_capacity;
        void* grown = realloc(device->table, capacity * sizeof(Allocation));
        if (grown == nullptr) {
            return 0;
        }
        device->table = (Allocation*) grown;
        device->table_capacity = capacity;
    }
    u32 number = device->table_size++;
    device->table[number] = {device->base + offset + mapped - size, bytes, number, (u8) kind, 1};
    for (u64 page = offset / PAGE; page < (offset + mapped) / PAGE; page++) {
        device->pages[page] = number + 1;
    }
    device->next = offset + mapped + PAGE;
    if (kind == 0) {
        device->used_bytes += size;
    }
    return (u64) device->table[number].begin;
}

EXPORT void emu_free(Device* device, u64 address) {
    Lock lock;
    u64 offset = (address - (u64) device->base) / PAGE * PAGE;
    Allocation& allocation = device->table[device->pages[offset / PAGE] - 1];
    u64 size = up(allocation.bytes == 0 ? 1 : allocation.bytes, ALIGNMENT);
    u64 mapped = up(size, PAGE);
    // Mapped anew: the pages go back to the host, and nobody may touch the addresses.
    mmap(device->base + offset, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (device->checked) {
        mmap(device->shadow + offset * SHADOW, mapped * SHADOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
    memset(&device->pages[offset / PAGE], 0, mapped / PAGE * sizeof(u32));
    allocation.alive = 0;
    if (allocation.kind == 0) {
        device->used_bytes -= size;
    }
}

const Allocation* allocation_of(const Device* device, u64 address) {
    u64 offset = address - (u64) device->base;
    if (offset >= device->span) {
        return nullptr;
    }
    u32 number = device->pages[offset / PAGE];
    return number == 0 ? nullptr : &device->table[number - 1];
}

void say_nearest(const Device* device, u64 address) {
    if (address - (u64) device->base >= device->span) {
        say("; it is not an address of this device");
        return;
    }
    const Allocation* nearest = nullptr;
    u64 least = ~0ull;
    // Dead ones too, but a living one goes first at equal distance.
    for (u32 i = 0; i < device->table_size; i++) {
        const Allocation& a = device->table[i];
        u64 end = (u64) a.begin + a.bytes;
        u64 distance = address < (u64) a.begin ? (u64) a.begin - address : address >= end ? address - end + 1 : 0;
        if (distance < least || (distance == least && a.alive)) {
            least = distance;
            nearest = &a;
        }
    }
    if (nearest == nullptr) {
        return;
    }
    const char* kind = nearest->kind == 0 ? "device" : "page-locked";
    long long offset = (long long) (address - (u64) nearest->begin);
    if (least == 0 && !nearest->alive) {
        say("; it is byte %lld of a %s buffer of %llu bytes that was freed", offset, kind, (unsigned long long) nearest->bytes);
    } else {
        say("; the nearest buffer has %llu bytes of %s%s memory at %p, and this is byte %lld of it", (unsigned long long) nearest->bytes,
            nearest->alive ? "" : "freed ", kind, (void*) nearest->begin, offset);
    }
}

// Whether a range lies in one living allocation.
EXPORT int emu_holds(const Device* device, u64 address, u64 bytes) {
    Lock lock;
    const Allocation* allocation = allocation_of(device, address);
    return allocation != nullptr && address >= (u64) allocation->begin && address - (u64) allocation->begin <= allocation->bytes
        && bytes <= allocation->bytes - (address - (u64) allocation->begin);
}
