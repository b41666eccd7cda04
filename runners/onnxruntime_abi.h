// The part of ONNX Runtime's C interface that is used here, so that its headers are not needed.
//
// OrtApi is a table of functions that only grows: the functions of a released version stay at their places
// and new ones are added at the end, and ONNX Runtime's build checks the last place of every version. So a place is valid for every
// library that accepts the requested version.
#ifndef DONNA_ONNXRUNTIME_ABI_H
#define DONNA_ONNXRUNTIME_ABI_H

#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 12  // of ONNX Runtime 1.12: the first with providers by name
#define ORT_FATAL 4         // of logging levels
#define ORT_OPTIMIZE_ALL 99
#define ORT_TENSOR 1  // of a value's kinds
#define ORT_FLOAT 1   // of a tensor's element types
#define ORT_ARENA_ALLOCATOR 1
#define ORT_DEFAULT_MEMORY 0
#define NNAPI_CPU_DISABLED 4u  // flag: not by NNAPI's own CPU implementation

typedef void ort_status;  // NULL: no error

struct ort_base {
  const void *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
};

// F(result, name, place in the table, arguments)
#define ORT_FUNCTIONS(F)                                                                                                   \
  F(const char *, get_error_message, 2, (const ort_status *))                                                              \
  F(ort_status *, create_env, 3, (int severity, const char *name, void **env))                                             \
  F(ort_status *, create_session, 7, (const void *env, const char *path, const void *options, void **session))             \
  F(ort_status *, create_session_options, 10, (void **options))                                                            \
  F(ort_status *, set_graph_optimization_level, 23, (void *options, int level))                                            \
  F(ort_status *, set_intra_op_threads, 24, (void *options, int threads))                                                  \
  F(ort_status *, set_inter_op_threads, 25, (void *options, int threads))                                                  \
  F(ort_status *, get_input_count, 30, (const void *session, size_t *count))                                               \
  F(ort_status *, get_output_count, 31, (const void *session, size_t *count))                                              \
  F(ort_status *, get_input_type, 33, (const void *session, size_t index, void **type))                                    \
  F(ort_status *, get_output_type, 34, (const void *session, size_t index, void **type))                                   \
  F(ort_status *, get_input_name, 36, (const void *session, size_t index, void *allocator, char **name))                   \
  F(ort_status *, get_output_name, 37, (const void *session, size_t index, void *allocator, char **name))                  \
  F(ort_status *, create_tensor, 49,                                                                                       \
    (const void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **value))             \
  F(ort_status *, cast_type_to_tensor, 55, (const void *type, const void **tensor))                                        \
  F(ort_status *, get_kind, 56, (const void *type, int *kind))                                                             \
  F(ort_status *, get_element_type, 60, (const void *tensor, int *type))                                                   \
  F(ort_status *, get_rank, 61, (const void *tensor, size_t *rank))                                                        \
  F(ort_status *, get_shape, 62, (const void *tensor, int64_t *shape, size_t rank))                                        \
  F(ort_status *, create_cpu_memory, 69, (int allocator, int kind, void **memory))                                         \
  F(ort_status *, free_text, 76, (void *allocator, void *text))                                                            \
  F(ort_status *, get_allocator, 78, (void **allocator))                                                                   \
  F(void, release_env, 92, (void *))                                                                                       \
  F(void, release_memory, 94, (void *))                                                                                    \
  F(void, release_session, 95, (void *))                                                                                   \
  F(void, release_value, 96, (void *))                                                                                     \
  F(void, release_type, 98, (void *))                                                                                      \
  F(void, release_session_options, 100, (void *))                                                                          \
  F(ort_status *, add_config, 130, (void *options, const char *key, const char *value))                                    \
  F(ort_status *, run_with_binding, 133, (void *session, const void *run_options, const void *binding))                    \
  F(ort_status *, create_binding, 134, (void *session, void **binding))                                                    \
  F(void, release_binding, 135, (void *))                                                                                  \
  F(ort_status *, bind_input, 136, (void *binding, const char *name, const void *value))                                   \
  F(ort_status *, bind_output, 137, (void *binding, const char *name, const void *value))                                  \
  F(ort_status *, append_provider, 216,                                                                                    \
    (void *options, const char *name, const char *const *keys, const char *const *values, size_t count))

#define ORT_PLACE(result, name, place, arguments) ORT_##name = place,
enum { ORT_FUNCTIONS(ORT_PLACE) };

#define ORT_MEMBER(result, name, place, arguments) result(*name) arguments;
struct ort_api {
  ORT_FUNCTIONS(ORT_MEMBER)
};

#define ORT_LOAD(result, name, place, arguments) api->name = (result(*) arguments)table[ORT_##name];
static inline void load_ort_api(struct ort_api *api, void (*const *table)(void)) { ORT_FUNCTIONS(ORT_LOAD) }

#endif
