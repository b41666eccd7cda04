// Times runs by the monotonic clock and the thread's CPU clock.
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "count.h"
#include "state.h"

// The difference is computed before rounding: seconds since the device's start leave too few digits of a float64 for nanoseconds.
static double seconds_between(struct timespec from, struct timespec to) {
  return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

static void put_list(const char *name, const double *values, long count) {
  fprintf(answers(), "\"%s\":", name);
  for (long i = 0; i < count; i++) {
    fputc(i == 0 ? '[' : ',', answers());
    put_number(values[i]);
  }
  fputs("],", answers());
}

void answer_run(const struct engine *engine, const struct options *options, long count) {
  // the CPU time of the calling thread is meaningful only where it does all the work
  bool counts_cpu = options->threads == 1 && strcmp(options->delegate, "cpu") == 0;
  double *wall_s = calloc((size_t)count, sizeof *wall_s), *cpu_s = calloc((size_t)count, sizeof *cpu_s);
  if (wall_s == NULL || cpu_s == NULL) fail("no memory for %ld samples", count);
  struct state before = read_state(options->zone);
  for (long i = 0; i < count; i++) {
    struct timespec cpu_from, from, to, cpu_to;
    int bad = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_from);  // a system call, so outside the wall time
    bad |= clock_gettime(CLOCK_MONOTONIC, &from);
    engine->run();
    bad |= clock_gettime(CLOCK_MONOTONIC, &to);
    bad |= clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_to);
    wall_s[i] = seconds_between(from, to);
    cpu_s[i] = seconds_between(cpu_from, cpu_to);
    if (bad != 0 || wall_s[i] <= 0) fail("the device's clock does not advance during a run");
    if (cpu_s[i] <= 0) counts_cpu = false;  // a kernel that counts CPU time in ticks
  }
  struct state after = read_state(options->zone);
  fputc('{', answers());
  put_list("wall_s", wall_s, count);
  if (counts_cpu)
    put_list("cpu_s", cpu_s, count);
  else
    fputs("\"cpu_s\":null,", answers());
  fputs("\"before\":", answers());
  put_state(before);
  fputs(",\"after\":", answers());
  put_state(after);
  fputc('}', answers());
  send_answer();
  free(wall_s);
  free(cpu_s);
}

bool serve(const struct engine *engine, const struct options *options) {
  char line[128];
  bool ran = false;
  while (fgets(line, sizeof line, stdin) != NULL) {
    size_t length = strcspn(line, "\r\n");
    bool whole = feof(stdin) || strcmp(line + length, "\n") == 0 || strcmp(line + length, "\r\n") == 0;
    line[length] = 0;
    if (whole && strcmp(line, "quit") == 0) return ran;
    long count = whole && strncmp(line, "run ", 4) == 0 ? read_count(line + 4, MAX_RUNS) : 0;
    if (count == 0) fail("a request must be `run N` with N from 1 to %d, or `quit`; found `%s`", MAX_RUNS, line);
    answer_run(engine, options, count);
    ran = true;
  }
  return ran;
}
