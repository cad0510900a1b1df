/* A stand-in for cuBLAS: column-major products on the host in plain loops, with the checks and the order of calls that matter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { void* stream; void* workspace; size_t bytes; int math; } handle;
static char text[4096];
static int fail;

const char* fake_blas_log(void) { return text; }
void fake_blas_fail(int status) { fail = status; }

int cublasCreate_v2(handle** h) { if (fail) { int f = fail; fail = 0; return f; } *h = calloc(1, sizeof **h); return 0; }
int cublasDestroy_v2(handle* h) { strcat(text, "destroy;"); free(h); return 0; }
int cublasSetStream_v2(handle* h, void* s) { h->stream = s; h->workspace = 0; h->bytes = 0; return 0; }
int cublasSetWorkspace_v2(handle* h, void* w, size_t bytes) { h->workspace = w; h->bytes = bytes; return 0; }
int cublasSetMathMode(handle* h, int mode) { h->math = mode; return 0; }

static float read(const void* p, int type, size_t at) {
    if (type == 0) return ((const float*) p)[at];
    unsigned bits = (unsigned) ((const unsigned short*) p)[at] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static void write(void* p, int type, size_t at, float value) {
    if (type == 0) { ((float*) p)[at] = value; return; }
    unsigned bits;
    memcpy(&bits, &value, 4);
    ((unsigned short*) p)[at] = (unsigned short) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

int cublasGemmEx(handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int atype, int lda, const void* b,
                 int btype, int ldb, const void* beta, void* c, int ctype, int ldc, int compute, int algo) {
    if (fail) { int f = fail; fail = 0; return f; }
    snprintf(text, sizeof text, "stream %d workspace %zu math %d types %d %d %d compute %d algo %d;", h->stream != 0,
        h->workspace ? h->bytes : 0, h->math, atype, btype, ctype, compute, algo);
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int l = 0; l < k; l++) {
                sum += read(a, atype, ta ? (size_t) i * lda + l : (size_t) l * lda + i) * read(b, btype, tb ? (size_t) l * ldb + j : (size_t) j * ldb + l);
            }
            size_t at = (size_t) j * ldc + i;
            float before = *(const float*) beta == 0 ? 0 : *(const float*) beta * read(c, ctype, at);
            write(c, ctype, at, *(const float*) alpha * sum + before);
        }
    }
    return 0;
}
