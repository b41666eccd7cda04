// The monotonic clock.
#ifndef DONNA_CLOCK_H
#define DONNA_CLOCK_H

// Seconds of the monotonic clock.
double now_s(void);

#endif
