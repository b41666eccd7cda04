// Shared libraries that are opened while the program runs.
#ifndef DONNA_LIBRARY_H
#define DONNA_LIBRARY_H

#include <stdbool.h>

typedef void (*function)(void);

// Opens a shared library, or fails with the system's message.
void *open_library(const char *path);

// Finds a function in an open library; `optional` ones may be NULL.
function find_function(void *library, const char *name, bool optional);

#endif
