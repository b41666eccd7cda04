// Tensors of float32 in this program's memory, and the files they are read from and written to.
#ifndef DONNA_TENSOR_H
#define DONNA_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#define MAX_RANK 8
#define MAX_VALUES ((size_t)1 << 28)  // 1 GiB of float32
#define MAX_TENSORS 64

struct tensor {
  size_t rank, count;
  int64_t shape[MAX_RANK];
  float *values;
};

// Returns a tensor of zeros. role: `input` or `output`, for messages. Fails unless every size is fixed and 1 or more.
struct tensor make_tensor(const char *role, size_t index, size_t rank, const int64_t *shape);

// Fails unless a model has 1 to MAX_TENSORS of a role.
void check_number_of(const char *role, size_t count);

// Fills inputs from the file, which must hold exactly their values one after another, or with random numbers.
void fill_inputs(const char *path, struct tensor *inputs, size_t count);

void write_values(const char *path, const struct tensor *tensor);

#endif
