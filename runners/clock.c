// Reads the monotonic clock.
#include "clock.h"

#include <time.h>

#include "answer.h"

static double read_clock(clockid_t clock) {
  struct timespec at;
  if (clock_gettime(clock, &at) != 0) fail("the clock %d cannot be read", (int)clock);
  return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

double now_s(void) { return read_clock(CLOCK_MONOTONIC); }
