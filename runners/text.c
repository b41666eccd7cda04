/* What the runner says: JSON on standard output, one line each; and the memory it asks for. */
#include "runner.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void print_string(const char *text) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

_Noreturn void fail(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("{\"error\":");
    print_string(text);
    printf("}\n");
    fflush(stdout);
    _Exit(1); /* not exit: a library's own threads may be running */
}

void *reserve(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("%zu values of %zu bytes must fit into memory", count, size);
    return memory;
}

void *open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail("the library must open: %s", dlerror());
    return library;
}

void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found)
        fail("the library must have the function %s", name);
    return found;
}

void set_shape(struct tensor *tensor, const long long *shape, size_t rank, const char *what) {
    if (rank < 1 || rank > MAX_RANK)
        fail("the %s must have 1 to %d axes, not %zu", what, MAX_RANK, rank);
    tensor->rank = rank;
    tensor->count = 1;
    for (size_t axis = 0; axis < rank; axis++) {
        if (shape[axis] < 1)
            fail("the %s must have a fixed shape: axis %zu is %lld", what, axis, shape[axis]);
        if (__builtin_mul_overflow(tensor->count, (size_t)shape[axis], &tensor->count) || tensor->count > (1u << 30))
            fail("the %s must have at most 2^30 values", what);
        tensor->shape[axis] = shape[axis];
    }
}

double clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
