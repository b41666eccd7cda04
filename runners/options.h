// The options of the command line.
#ifndef DONNA_OPTIONS_H
#define DONNA_OPTIONS_H

#include <stdbool.h>

#define MAX_THREADS 256
#define MAX_RUNS 1000000

struct options {
  const char *engine, *library, *model, *delegate;
  const char *zone, *input, *output;  // paths, or NULL
  int threads;
  long runs;          // 0: serve
  bool cpu_fallback;  // the CPU may compute what the delegate cannot
};

#endif
