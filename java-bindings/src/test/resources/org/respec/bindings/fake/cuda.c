/* A stand-in for libcuda.so.1 whose device is the host: calls are logged, memory is malloc'ed and poisoned, two kernels really run,
 * a third kills the context. What the tests set with fake_set and fake_fail decides how it behaves. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned long long address;
typedef struct { char name[64]; int parameters; size_t bytes; int max_dynamic; } function;
typedef struct { int kind; function* f; unsigned char arguments[256]; address to, from; size_t bytes; int word; } node;
typedef struct { node nodes[64]; int count; } graph;
typedef struct { int flags; int capturing; graph* g; } stream;
typedef struct { double at; int recorded; } event;

static char text[1 << 20];
static size_t used;
static int quiet;
static char fail_name[64];
static int fail_code;
static int sticky;
static int pending;
static __thread void* current;
static int primary;
static int driver_version = 12090, device_count = 1, major = 9, minor = 0, init_code, not_ready;
static size_t memory_total = 1 << 30, memory_used, host_total = 1 << 30;
static struct { void* at; size_t bytes, mapped; } blocks[4096];
static int block_count;
static double now;
static int context_object;
static int captures;

static void say(const char* format, ...) {
    if (quiet) return;
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text + used, sizeof text - used - 2, format, list);
    va_end(list);
    if (n > 0 && used + n < sizeof text - 2) {
        used += n;
        text[used++] = '\n';
        text[used] = 0;
    }
}

const char* fake_log(void) { return text; }
void fake_clear(void) { used = 0; text[0] = 0; }
void fake_quiet(int on) { quiet = on; }
void fake_fail(const char* call, int code) { strncpy(fail_name, call, sizeof fail_name - 1); fail_code = code; }
int fake_blocks(void) { return block_count; }
int fake_primary(void) { return primary; }
void fake_reset(void) {
    sticky = pending = init_code = not_ready = captures = 0;
    fail_name[0] = 0;
    block_count = 0;
    memory_used = 0;
    host_total = 1 << 30;
    driver_version = 12090; device_count = 1; major = 9; minor = 0;
    fake_clear();
}
void fake_set(const char* what, int value) {
    if (!strcmp(what, "driver")) driver_version = value;
    if (!strcmp(what, "devices")) device_count = value;
    if (!strcmp(what, "major")) major = value;
    if (!strcmp(what, "minor")) minor = value;
    if (!strcmp(what, "init")) init_code = value;
    if (!strcmp(what, "not_ready")) not_ready = value;
    if (!strcmp(what, "host_gib")) host_total = (size_t) value << 30;
}

#define CALL(name) if (fail_name[0] && !strcmp(fail_name, name)) { fail_name[0] = 0; return fail_code; }
#define ENTER(name) if (sticky) return sticky; if (!current) return 201; CALL(name)

int cuDriverGetVersion(int* v) { CALL("cuDriverGetVersion") *v = driver_version; return 0; }
/* NVRTC asks a driver that it finds for a private table, and is content without. */
int cuGetExportTable(const void** table, const void* id) { (void) id; *table = 0; return 500; }
int cuInit(unsigned flags) { (void) flags; return init_code; }
int cuDeviceGetCount(int* n) { *n = device_count; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal + 7; return 0; }
int cuDeviceGetName(char* name, int size, int device) { snprintf(name, size, "Fake H100 %d", device - 7); return 0; }
int cuDeviceGetUuid(unsigned char* uuid, int device) { (void) device; for (int i = 0; i < 16; i++) uuid[i] = (unsigned char) (0x10 + i); return 0; }
int cuDeviceGetUuid_v2(unsigned char* uuid, int device) { return cuDeviceGetUuid(uuid, device); }
int cuDeviceTotalMem_v2(size_t* bytes, int device) { (void) device; *bytes = memory_total; return 0; }
int cuDeviceGetAttribute(int* value, int which, int device) {
    (void) device;
    *value = which == 75 ? major : which == 76 ? minor : which == 16 ? 132 : which == 97 ? 232448 : which == 38 ? 50 << 20 : -1;
    return 0;
}
int cuDevicePrimaryCtxRetain(void** c, int device) { (void) device; CALL("cuDevicePrimaryCtxRetain") primary++; *c = &context_object; say("retain"); return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { (void) device; primary--; say("release"); return 0; }
int cuCtxSetCurrent(void* c) { current = c; return 0; }
int cuCtxSynchronize(void) { ENTER("cuCtxSynchronize") if (captures) return 900; if (pending) { sticky = pending; return sticky; } return 0; }

int cuMemAlloc_v2(address* p, size_t bytes) {
    ENTER("cuMemAlloc")
    if (memory_used + bytes > memory_total) return 2;
    void* at;
    if (posix_memalign(&at, 256, bytes)) return 2;
    memset(at, 0xCD, bytes);
    memory_used += bytes;
    blocks[block_count].at = at;
    blocks[block_count].mapped = 0;
    blocks[block_count++].bytes = bytes;
    *p = (address) at;
    return 0;
}
static int forget(void* at) {
    for (int i = 0; i < block_count; i++) {
        if (blocks[i].at == at) {
            memory_used -= blocks[i].bytes;
            size_t mapped = blocks[i].mapped;
            blocks[i] = blocks[--block_count];
            if (mapped) munmap(at, mapped);
            else free(at);
            return 0;
        }
    }
    return 1;
}
int cuMemFree_v2(address p) { ENTER("cuMemFree") say("free"); return forget((void*) p); }
/* Many gigabytes for the price of 64 MiB: the same pages over and over. */
static int repeated(void** p, size_t bytes) {
    const size_t piece = 64 << 20;
    size_t whole = (bytes + piece - 1) / piece * piece;
    int file = memfd_create("fake", 0);
    if (file < 0 || ftruncate(file, piece)) return 2;
    char* at = mmap(0, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return 2;
    for (size_t i = 0; i < whole; i += piece) {
        if (mmap(at + i, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) return 2;
    }
    close(file);
    *p = at;
    blocks[block_count].at = at;
    blocks[block_count].mapped = whole;
    blocks[block_count++].bytes = 0;
    return 0;
}
int cuMemHostAlloc(void** p, size_t bytes, unsigned flags) {
    ENTER("cuMemHostAlloc")
    say("host alloc %zu flags %u", bytes, flags);
    if (bytes > host_total) return 2;
    if (bytes > 1 << 30) return repeated(p, bytes);
    if (posix_memalign(p, 4096, bytes)) return 2;
    memset(*p, 0xCD, bytes);
    blocks[block_count].at = *p;
    blocks[block_count].mapped = 0;
    blocks[block_count++].bytes = 0;
    return 0;
}
int cuMemFreeHost(void* p) { ENTER("cuMemFreeHost") say("free host"); return forget(p); }
int cuMemGetInfo_v2(size_t* free_, size_t* total) { ENTER("cuMemGetInfo") *free_ = memory_total - memory_used; *total = memory_total; return 0; }

int cuModuleLoadData(void** module, const void* image) {
    ENTER("cuModuleLoadData")
    if (memcmp(image, "\177ELF", 4)) return 200;
    *module = malloc(16);
    say("load");
    return 0;
}
int cuModuleUnload(void* module) { ENTER("cuModuleUnload") free(module); say("unload"); return 0; }
int cuModuleGetFunction(function** f, void* module, const char* name) {
    (void) module;
    ENTER("cuModuleGetFunction")
    if (!strcmp(name, "absent")) return 500;
    *f = calloc(1, sizeof **f);
    strncpy((*f)->name, name, 63);
    (*f)->parameters = strcmp(name, "two") ? 1 : 2;
    (*f)->bytes = !strcmp(name, "scale") ? 24 : !strcmp(name, "wide") ? 200 : 8;
    (*f)->max_dynamic = 48 << 10;
    return 0;
}
int cuFuncGetParamInfo(function* f, size_t index, size_t* offset, size_t* size) {
    if (index >= (size_t) f->parameters) return 1;
    *offset = 0;
    *size = f->bytes;
    return 0;
}
int cuFuncGetAttribute(int* value, int which, function* f) {
    (void) f;
    ENTER("cuFuncGetAttribute")
    *value = which == 4 ? 40 : which == 3 ? 16 : which == 1 ? 1024 : which == 0 ? 512 : -1;
    return 0;
}
int cuFuncSetAttribute(function* f, int which, int value) {
    ENTER("cuFuncSetAttribute")
    say("attribute %s %d %d", f->name, which, value);
    if (which == 8) f->max_dynamic = value;
    return 0;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks_, function* f, int threads, size_t shared) {
    (void) f;
    ENTER("occupancy")
    *blocks_ = 2048 / threads;
    say("occupancy %d %zu", threads, shared);
    return 0;
}

static void run(function* f, const unsigned char* arguments) {
    if (!strcmp(f->name, "scale")) {
        struct { float* x; long long n; float factor; } a;
        memcpy(&a, arguments, 24);
        for (long long i = 0; i < a.n; i++) a.x[i] *= a.factor;
    } else if (!strcmp(f->name, "crash")) {
        pending = 700;
    }
}
int cuLaunchKernel(function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, stream* s,
                   void** parameters, void** extra) {
    ENTER("cuLaunchKernel")
    if (extra || !parameters || !parameters[0]) return 1;
    if ((int) shared > f->max_dynamic) return 701;
    if (!quiet) {
        char hex[513];
        for (size_t i = 0; i < f->bytes; i++) sprintf(hex + 2 * i, "%02x", ((unsigned char*) parameters[0])[i]);
        say("launch %s %u %u %u %u %u %u %u %s", f->name, gx, gy, gz, bx, by, bz, shared, hex);
    }
    if (s->capturing) {
        node* n = &s->g->nodes[s->g->count++];
        n->kind = 0;
        n->f = f;
        memcpy(n->arguments, parameters[0], f->bytes);
        return 0;
    }
    run(f, parameters[0]);
    return 0;
}
static int move(stream* s, int kind, address to, address from, size_t bytes, int word) {
    if (s->capturing) {
        node* n = &s->g->nodes[s->g->count++];
        n->kind = kind; n->to = to; n->from = from; n->bytes = bytes; n->word = word;
    } else if (kind == 1) {
        memcpy((void*) to, (void*) from, bytes);
    } else {
        for (size_t i = 0; i < bytes; i++) ((int*) to)[i] = word;
    }
    return 0;
}
int cuMemcpyHtoDAsync_v2(address to, const void* from, size_t bytes, stream* s) {
    ENTER("cuMemcpyHtoDAsync")
    say("in %zu", bytes);
    return move(s, 1, to, (address) from, bytes, 0);
}
int cuMemcpyDtoHAsync_v2(void* to, address from, size_t bytes, stream* s) {
    ENTER("cuMemcpyDtoHAsync")
    say("out %zu", bytes);
    return move(s, 1, (address) to, from, bytes, 0);
}
int cuMemcpyDtoDAsync_v2(address to, address from, size_t bytes, stream* s) {
    ENTER("cuMemcpyDtoDAsync")
    say("copy %zu", bytes);
    return move(s, 1, to, from, bytes, 0);
}
int cuMemsetD32Async(address to, unsigned word, size_t count, stream* s) {
    ENTER("cuMemsetD32Async")
    say("fill %zu %x", count, word);
    return move(s, 2, to, 0, count, (int) word);
}

int cuCtxGetStreamPriorityRange(int* least, int* greatest) { ENTER("cuCtxGetStreamPriorityRange") *least = 0; *greatest = -5; return 0; }
int cuStreamCreateWithPriority(stream** s, unsigned flags, int priority) {
    ENTER("cuStreamCreate")
    *s = calloc(1, sizeof **s);
    (*s)->flags = (int) flags;
    say("stream %u priority %d", flags, priority);
    return 0;
}
int cuStreamDestroy_v2(stream* s) { ENTER("cuStreamDestroy") free(s); say("stream end"); return 0; }
int cuStreamSynchronize(stream* s) {
    ENTER("cuStreamSynchronize")
    if (s->capturing) return 900;
    say("sync");
    if (pending) { sticky = pending; return sticky; }
    return 0;
}
int cuStreamBeginCapture_v2(stream* s, int mode) { ENTER("cuStreamBeginCapture") s->capturing = 1; captures++; s->g = calloc(1, sizeof(graph)); say("capture %d", mode); return 0; }
int cuStreamEndCapture(stream* s, graph** g) { if (s->capturing) { s->capturing = 0; captures--; } ENTER("cuStreamEndCapture") *g = s->g; say("captured %d", s->g->count); return 0; }
int cuGraphInstantiateWithFlags(graph** e, graph* g, unsigned long long flags) {
    (void) flags;
    ENTER("cuGraphInstantiate")
    *e = malloc(sizeof(graph));
    memcpy(*e, g, sizeof(graph));
    return 0;
}
int cuGraphDestroy(graph* g) { free(g); say("graph end"); return 0; }
int cuGraphExecDestroy(graph* e) { ENTER("cuGraphExecDestroy") free(e); say("exec end"); return 0; }
int cuGraphLaunch(graph* e, stream* s) {
    ENTER("cuGraphLaunch")
    say("graph %d", e->count);
    for (int i = 0; i < e->count; i++) {
        node* n = &e->nodes[i];
        if (n->kind == 0) run(n->f, n->arguments);
        else move(s, n->kind, n->to, n->from, n->bytes, n->word);
    }
    return 0;
}

int cuEventCreate(event** e, unsigned flags) { ENTER("cuEventCreate") *e = calloc(1, sizeof **e); say("event %u", flags); return 0; }
int cuEventDestroy_v2(event* e) { ENTER("cuEventDestroy") free(e); say("event end"); return 0; }
int cuEventRecord(event* e, stream* s) { (void) s; ENTER("cuEventRecord") e->recorded = 1; e->at = now += 2.5; return 0; }
int cuEventQuery(event* e) { (void) e; ENTER("cuEventQuery") return not_ready ? 600 : 0; }
int cuEventSynchronize(event* e) { (void) e; ENTER("cuEventSynchronize") return 0; }
int cuEventElapsedTime(float* ms, event* a, event* b) { ENTER("cuEventElapsedTime") *ms = (float) (b->at - a->at); return 0; }
int cuStreamWaitEvent(stream* s, event* e, unsigned flags) { (void) s; (void) e; ENTER("cuStreamWaitEvent") say("await %u", flags); return 0; }
