// Makes, fills, reads and writes tensors of float32.
#include "tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

#define ALIGNMENT 64  // of a cache line, and of what vector units load at once

struct tensor make_tensor(const char *role, size_t index, size_t rank, const int64_t *shape) {
  struct tensor tensor = {.rank = rank, .count = 1};
  if (rank < 1 || rank > MAX_RANK) fail("%s %zu of the model must have 1 to %d dimensions; found %zu", role, index, MAX_RANK, rank);
  for (size_t i = 0; i < rank; i++) {
    if (shape[i] < 1)
      fail("%s %zu of the model must have a fixed shape; found %" PRId64 " as size of dimension %zu", role, index, shape[i], i);
    if ((uint64_t)shape[i] > MAX_VALUES / tensor.count) fail("%s %zu of the model has more than %zu values", role, index, MAX_VALUES);
    tensor.count *= (size_t)shape[i];
    tensor.shape[i] = shape[i];
  }
  void *memory = NULL;
  if (posix_memalign(&memory, ALIGNMENT, tensor.count * sizeof(float)) != 0)
    fail("no memory for %s %zu of the model, %zu values", role, index, tensor.count);
  memset(memory, 0, tensor.count * sizeof(float));
  tensor.values = memory;
  return tensor;
}

void check_number_of(const char *role, size_t count) {
  if (count < 1 || count > MAX_TENSORS) fail("the model must have 1 to %d %ss; found %zu", MAX_TENSORS, role, count);
}

// Returns the next of a fixed sequence of numbers of mean 0 and variance 1, close to normal.
static float next_random(uint64_t *state) {
  double sum = 0;
  for (int i = 0; i < 4; i++) {  // xorshift64: four uniform numbers of variance 1/12 each
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    sum += (double)(*state >> 11) / 9007199254740992.0 - 0.5;
  }
  return (float)(sum * 1.7320508075688772);
}

static void read_inputs(const char *path, struct tensor *inputs, size_t count) {
  size_t wanted = 0, found = 0;
  FILE *file = fopen(path, "rbe");
  if (file == NULL) fail("the input must be a file: %s: %s", path, strerror(errno));
  for (size_t i = 0; i < count; i++) {
    wanted += inputs[i].count;
    found += fread(inputs[i].values, sizeof(float), inputs[i].count, file);
  }
  if (found != wanted || fgetc(file) != EOF)
    fail("the input %s must hold %zu float32 values and no more; found %s", path, wanted, found < wanted ? "fewer" : "more");
  fclose(file);
}

void fill_inputs(const char *path, struct tensor *inputs, size_t count) {
  uint64_t state = 88172645463325252u;
  if (path != NULL) {
    read_inputs(path, inputs, count);
    return;
  }
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < inputs[i].count; j++) inputs[i].values[j] = next_random(&state);
}

void write_values(const char *path, const struct tensor *tensor) {
  FILE *file = fopen(path, "wbe");
  if (file == NULL) fail("the output must be written: %s: %s", path, strerror(errno));
  size_t written = fwrite(tensor->values, sizeof(float), tensor->count, file);
  if (fclose(file) != 0 || written != tensor->count) fail("the output must be written: %s: %s", path, strerror(errno));
}
