/* The loop: runs the model, and tells each run's wall and CPU time, with the phone's state before and after. */
#include "runner.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_RUNS 10000000

static double thread_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print_times(const char *name, const double *times, long count) {
    printf("\"%s\":[", name);
    for (long i = 0; i < count; i++)
        printf(i ? ",%.9g" : "%.9g", times[i]);
    printf("],");
}

/* Runs `count` times and prints one line. */
static void run_and_tell(struct model *model, const struct options *options, long count) {
    double *wall = reserve((size_t)count, sizeof *wall), *cpu = reserve((size_t)count, sizeof *cpu);
    bool alone = options->threads == 1 && strcmp(options->delegate, "cpu") == 0;
    printf("{");
    print_state("before", options->zone);
    printf(",");
    for (long i = 0; i < count; i++) {
        double worked = thread_s(), start = clock_s();
        model->run(model);
        wall[i] = clock_s() - start;
        cpu[i] = thread_s() - worked;
    }
    print_times("wall_s", wall, count);
    if (alone) /* all of the work is this thread's */
        print_times("cpu_s", cpu, count);
    else
        printf("\"cpu_s\":null,");
    print_state("after", options->zone);
    printf("}\n");
    fflush(stdout);
    free(wall);
    free(cpu);
}

/* Values about a normal distribution's, the same at every start: values that vanish or overflow change a processor's speed. */
static void fill(struct tensor *tensor) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < tensor->count; i++) {
        float sum = 0;
        for (int k = 0; k < 12; k++) { /* twelve uniform numbers: variance 1 */
            state = state * 6364136223846793005u + 1442695040888963407u;
            sum += (float)(state >> 40) / 16777216.0f;
        }
        tensor->data[i] = sum - 6;
    }
}

static void read_input(struct tensor *tensor, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("the input must be a file: %s: %s", path, strerror(errno));
    size_t found = fread(tensor->data, sizeof(float), tensor->count, file);
    bool more = fgetc(file) != EOF;
    fclose(file);
    if (found != tensor->count || more)
        fail("the input must hold %zu float32 values", tensor->count);
}

static void write_output(struct model *model, const char *path) {
    model->fetch(model);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(model->output.data, sizeof(float), model->output.count, file) != model->output.count)
        fail("the output must be written: %s: %s", path, strerror(errno));
    if (fclose(file))
        fail("the output must be written: %s: %s", path, strerror(errno));
}

static void tell_ready(const struct model *model, const struct options *options, double init_s) {
    printf("{\"donna_runner\":1,\"engine\":");
    print_string(options->engine);
    printf(",\"version\":");
    print_string(model->version);
#if defined(__aarch64__)
    printf(",\"abi\":\"arm64-v8a\"");
#elif defined(__arm__)
    printf(",\"abi\":\"armeabi-v7a\"");
#elif defined(__x86_64__)
    printf(",\"abi\":\"x86_64\"");
#else
    printf(",\"abi\":\"unknown\"");
#endif
    printf(",\"delegate\":");
    print_string(options->delegate);
    printf(",\"input\":[");
    for (size_t axis = 0; axis < model->input.rank; axis++)
        printf(axis ? ",%lld" : "%lld", model->input.shape[axis]);
    printf("],\"init_s\":%.9g}\n", init_s);
    fflush(stdout);
}

int serve(struct model *model, const struct options *options, double init_s) {
    char line[64];
    if (options->input)
        read_input(&model->input, options->input);
    else
        fill(&model->input);
    model->feed(model);
    if (options->runs) {
        run_and_tell(model, options, options->runs);
        if (options->output)
            write_output(model, options->output);
        return 0;
    }
    tell_ready(model, options, init_s);
    while (fgets(line, sizeof line, stdin)) {
        char *end;
        size_t length = strcspn(line, "\n");
        if (line[length] != '\n')
            fail("a request must be one short line");
        line[length] = 0;
        if (strcmp(line, "quit") == 0)
            break;
        errno = 0;
        long count = strncmp(line, "run ", 4) == 0 ? strtol(line + 4, &end, 10) : 0;
        if (count < 1 || count > MOST_RUNS || *end || errno)
            fail("a request must be run N, with N from 1 to %d, or quit: %s", MOST_RUNS, line);
        run_and_tell(model, options, count);
    }
    if (options->output) {
        model->run(model);
        write_output(model, options->output);
    }
    return 0;
}
