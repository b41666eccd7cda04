/* The native runner: loads a model into an inference library, runs it so many times, and tells every run's time. */
#ifndef DONNA_RUNNER_H
#define DONNA_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_RANK 8

/* What the command line asked for; see README.md. */
struct options {
    const char *engine, *library, *model, *delegate, *zone, *input, *output;
    long threads, runs; /* runs: 0 to serve requests */
    bool cpu_fallback;
};

/* A tensor in this process's own memory: float32, of a fixed shape. */
struct tensor {
    float *data;
    size_t count;
    size_t rank;
    long long shape[MAX_RANK];
};

/* A model ready to run. `feed` hands it the input tensor's values, `fetch` brings the output's. */
struct model {
    void *engine; /* the engine's own */
    char version[64];
    struct tensor input, output;
    void (*feed)(struct model *);
    void (*run)(struct model *);
    void (*fetch)(struct model *);
};

/* Each fills in the model, but for the values of its input; does not return when it can not. */
void open_onnxruntime(struct model *model, const struct options *options);
void open_litert(struct model *model, const struct options *options);

/* Runs by the command line or by requests on standard input; returns the exit code. */
int serve(struct model *model, const struct options *options, double init_s);

/* Prints {"error": "..."} and ends the process with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_string(const char *text);
void print_state(const char *name, const char *zone);
void *reserve(size_t count, size_t size);
void *symbol(void *library, const char *name);
void *open_library(const char *path);
void set_shape(struct tensor *tensor, const long long *shape, size_t rank, const char *what);
double clock_s(void);

#endif
