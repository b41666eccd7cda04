/* The phone's state around the runs: the temperature of a zone, and the fastest clock of its CPUs just now. */
#include "runner.h"

#include <glob.h>
#include <stdio.h>

/* Reads one number from a file; false where it can not be read. */
static bool read_number(const char *path, double *value) {
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool found = fscanf(file, "%lf", value) == 1;
    fclose(file);
    return found;
}

static void print_number(const char *name, bool known, double value) {
    if (known)
        printf("\"%s\":%.9g", name, value);
    else
        printf("\"%s\":null", name);
}

void print_state(const char *name, const char *zone) {
    double temperature = 0, fastest = 0, khz;
    bool warm = zone && read_number(zone, &temperature);
    glob_t found;
    if (glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (read_number(found.gl_pathv[i], &khz) && khz > fastest)
                fastest = khz;
        globfree(&found);
    }
    printf("\"%s\":{", name);
    print_number("temperature_c", warm, temperature / 1e3); /* the kernel tells thousandths of a degree */
    putchar(',');
    print_number("clock_hz", fastest > 0, fastest * 1e3);
    putchar('}');
}
