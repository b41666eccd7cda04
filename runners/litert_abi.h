// The part of LiteRT's C interface (CompiledModel) that is used here, so that its headers are not needed. From version 2.1.6 on.
#ifndef DONNA_LITERT_ABI_H
#define DONNA_LITERT_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LITERT_OK 0
#define LITERT_CPU 1  // of accelerators: bits of a set
#define LITERT_GPU 2
#define LITERT_NPU 4
#define LITERT_RANKED 0  // of a tensor's kinds
#define LITERT_FLOAT32 1
#define LITERT_READ 0  // of lock modes
#define LITERT_WRITE 1
#define LITERT_STRING 8        // of an option value's kinds
#define LITERT_COMPILER_DIR 0  // of the environment's options
#define LITERT_DISPATCH_DIR 1
#define LITERT_RUNTIME_DIR 22
#define LITERT_MAX_RANK 8

struct litert_type {
  int element;
  unsigned rank : 7;
  unsigned has_strides : 1;
  int32_t dimensions[LITERT_MAX_RANK];  // below 0: not fixed
  uint32_t strides[LITERT_MAX_RANK];
};
_Static_assert(sizeof(struct litert_type) == 72, "LiteRT's own size");
_Static_assert(offsetof(struct litert_type, dimensions) == 8, "LiteRT's own layout");

struct litert_option {
  int tag;
  struct {
    int kind;
    union {
      int64_t number;
      double real;
      const char *text;
    } as;
  } value;
};
_Static_assert(sizeof(struct litert_option) == 24, "LiteRT's own size");

// F(result, name, name in the library, arguments); results of int are a status, 0 for success
#define LITERT_FUNCTIONS(F)                                                                                                   \
  F(int, create_environment, "LiteRtCreateEnvironment", (int count, const struct litert_option *options, void **environment)) \
  F(void, destroy_environment, "LiteRtDestroyEnvironment", (void *))                                                          \
  F(int, create_model, "LiteRtCreateModelFromFile", (void *environment, const char *path, void **model))                      \
  F(void, destroy_model, "LiteRtDestroyModel", (void *))                                                                      \
  F(int, get_signature, "LiteRtGetModelSignature", (void *model, size_t index, void **signature))                             \
  F(int, get_input_count, "LiteRtGetNumSignatureInputs", (void *signature, size_t *count))                                    \
  F(int, get_output_count, "LiteRtGetNumSignatureOutputs", (void *signature, size_t *count))                                  \
  F(int, get_input, "LiteRtGetSignatureInputTensorByIndex", (void *signature, size_t index, void **tensor))                   \
  F(int, get_output, "LiteRtGetSignatureOutputTensorByIndex", (void *signature, size_t index, void **tensor))                 \
  F(int, get_kind, "LiteRtGetTensorTypeId", (void *tensor, int *kind))                                                        \
  F(int, get_type, "LiteRtGetRankedTensorType", (void *tensor, struct litert_type *type))                                     \
  F(int, create_options, "LiteRtCreateOptions", (void **options))                                                             \
  F(void, destroy_options, "LiteRtDestroyOptions", (void *))                                                                  \
  F(int, set_accelerators, "LiteRtSetOptionsHardwareAccelerators", (void *options, int accelerators))                         \
  F(int, create_opaque, "LiteRtCreateOpaqueOptions", (const char *name, void *data, void (*destroy)(void *), void **opaque))  \
  F(int, add_opaque, "LiteRtAddOpaqueOptions", (void *options, void *opaque))                                                 \
  F(int, compile, "LiteRtCreateCompiledModel", (void *environment, void *model, void *options, void **compiled))              \
  F(void, destroy_compiled, "LiteRtDestroyCompiledModel", (void *))                                                           \
  F(int, is_accelerated, "LiteRtCompiledModelIsFullyAccelerated", (void *compiled, bool *fully))                              \
  F(int, input_needs, "LiteRtGetCompiledModelInputBufferRequirements",                                                        \
    (void *compiled, size_t signature, size_t index, void **needs))                                                           \
  F(int, output_needs, "LiteRtGetCompiledModelOutputBufferRequirements",                                                      \
    (void *compiled, size_t signature, size_t index, void **needs))                                                           \
  F(int, create_buffer, "LiteRtCreateManagedTensorBufferFromRequirements",                                                    \
    (void *environment, const struct litert_type *type, void *needs, void **buffer))                                          \
  F(void, destroy_buffer, "LiteRtDestroyTensorBuffer", (void *))                                                              \
  F(int, get_packed_size, "LiteRtGetTensorBufferPackedSize", (void *buffer, size_t *bytes))                                   \
  F(int, lock, "LiteRtLockTensorBuffer", (void *buffer, void **address, int mode))                                            \
  F(int, unlock, "LiteRtUnlockTensorBuffer", (void *buffer))                                                                  \
  F(int, run, "LiteRtRunCompiledModel",                                                                                       \
    (void *compiled, size_t signature, size_t inputs, void **input_buffers, size_t outputs, void **output_buffers))

#define LITERT_MEMBER(result, name, exported, arguments) result(*name) arguments;
struct litert_api {
  LITERT_FUNCTIONS(LITERT_MEMBER)
};

#define LITERT_LOAD(result, name, exported, arguments) api.name = (result(*) arguments)find_function(library, exported, false);

#endif
