// The steady clock.
#ifndef DONNA_CLOCK_H
#define DONNA_CLOCK_H

// Seconds of the steady clock.
double now_s(void);

#endif
