// Parses whole numbers strictly: no sign, no space, nothing after the digits.
#include "count.h"

#include <stdlib.h>
#include <string.h>

long read_count(const char *text, long most) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 9 || text[digits] != 0) return 0;  // nine digits fit a long of 32 bits
  long count = strtol(text, NULL, 10);
  return count <= most ? count : 0;
}
