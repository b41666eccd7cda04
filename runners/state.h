// Temperature and clock of the device around a request.
#ifndef DONNA_STATE_H
#define DONNA_STATE_H

struct state {
  double temperature_c, clock_hz;  // NaN where it cannot be read
};

// zone: a file of millidegrees Celsius, or NULL.
struct state read_state(const char *zone);

// Writes the state as JSON, null for what cannot be read.
void put_state(struct state state);

#endif
