/* A stand-in for libnvidia-ml.so.1 with structs as in nvml.h of CUDA 12.9. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int number; } sample;
typedef struct { unsigned int metricId; int nvmlReturn; double value; struct { char* shortName; char* longName; char* unit; } info; } metric;
typedef struct { unsigned int version, numMetrics; sample* sample1; sample* sample2; metric metrics[333]; } request;

static int open_, supported = 1, taken, alive, metrics_code, first;

void fake_nvml_gpm(int on) { supported = on; }
int fake_nvml_samples(void) { return alive; }
int fake_nvml_taken(void) { return taken; }
/* What the next nvmlGpmMetricsGet returns. */
void fake_nvml_metrics(int code) { metrics_code = code; }
/* Number of the older sample in the last one that was well. */
int fake_nvml_first(void) { return first; }
int fake_nvml_open(void) { return open_; }

int nvmlInit_v2(void) { open_++; return 0; }
int nvmlShutdown(void) { open_--; return 0; }
int nvmlSystemGetDriverVersion(char* text, unsigned size) { snprintf(text, size, "575.1.2"); return 0; }
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
    static int one;
    *device = &one;
    return strcmp(uuid, "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f") ? 6 : 0;
}
int nvmlDeviceGetUtilizationRates(void* d, unsigned* rates) { (void) d; rates[0] = 42; rates[1] = 17; return 0; }
int nvmlDeviceGetMemoryInfo(void* d, unsigned long long* m) { (void) d; m[0] = 80ull << 30; m[1] = 60ull << 30; m[2] = 20ull << 30; return 0; }
int nvmlDeviceGetPowerUsage(void* d, unsigned* mw) { (void) d; *mw = 312500; return 0; }
int nvmlDeviceGetTemperature(void* d, int sensor, unsigned* c) { (void) d; *c = sensor == 0 ? 55 : 0; return 0; }
int nvmlDeviceGetClockInfo(void* d, int type, unsigned* mhz) { (void) d; *mhz = type == 1 ? 1755 : type == 2 ? 2619 : 0; return 0; }
int nvmlGpmQueryDeviceSupport(void* d, unsigned* s) { (void) d; if (s[0] != 1) return 25; s[1] = supported; return 0; }
int nvmlGpmSampleAlloc(sample** s) { *s = calloc(1, sizeof **s); alive++; return 0; }
int nvmlGpmSampleFree(sample* s) { free(s); alive--; return 0; }
int nvmlGpmSampleGet(void* d, sample* s) { (void) d; s->number = ++taken; return 0; }
int nvmlGpmMetricsGet(request* r) {
    if (r->version != 1) return 25;
    if (r->sample2->number <= r->sample1->number) return 2;
    if (metrics_code) { int code = metrics_code; metrics_code = 0; return code; }
    first = r->sample1->number;
    for (unsigned i = 0; i < r->numMetrics; i++) {
        metric* m = &r->metrics[i];
        m->nvmlReturn = 0;
        m->info.shortName = "name";
        if (m->metricId == 2) m->value = 87.5;
        else if (m->metricId == 3) m->nvmlReturn = 3;
        else if (m->metricId == 10) m->value = 62.5;
        else return 2;
    }
    memset(&r->metrics[r->numMetrics], 0, sizeof(metric) * (333 - r->numMetrics));
    return 0;
}
