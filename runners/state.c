// Reads the temperature and the highest clock of the CPU cores from the kernel's files.
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

#define CORES "/sys/devices/system/cpu"
#define COLDEST_C (-60.0)
#define HOTTEST_C 250.0

// Returns the whole number that a file holds, NaN where it cannot be read or holds something else.
static double number_in(const char *path) {
  char text[64];
  FILE *file = fopen(path, "re");
  if (file == NULL) return NAN;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  char *end = text;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (end == text || errno != 0 || end[strspn(end, " \n")] != 0) return NAN;
  return (double)value;
}

static double highest_clock_hz(void) {
  double highest = NAN;
  DIR *folder = opendir(CORES);
  if (folder == NULL) return NAN;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char path[512];
    const char *number = entry->d_name + 3;
    if (strncmp(entry->d_name, "cpu", 3) != 0 || *number == 0 || number[strspn(number, "0123456789")] != 0) continue;
    snprintf(path, sizeof path, CORES "/%s/cpufreq/scaling_cur_freq", entry->d_name);
    double hz = number_in(path) * 1000;
    if (hz > 0) highest = fmax(highest, hz);  // fmax(NaN, x) is x
  }
  closedir(folder);
  return highest;
}

struct state read_state(const char *zone) {
  double celsius = zone == NULL ? NAN : number_in(zone) / 1000;
  if (celsius < COLDEST_C || celsius > HOTTEST_C) celsius = NAN;  // a sensor that is switched off reads -274
  return (struct state){celsius, highest_clock_hz()};
}

static void put_reading(double value) {
  if (isnan(value))
    fputs("null", answers());
  else
    put_number(value);
}

void put_state(struct state state) {
  fputs("{\"temperature_c\":", answers());
  put_reading(state.temperature_c);
  fputs(",\"clock_hz\":", answers());
  put_reading(state.clock_hz);
  fputc('}', answers());
}
