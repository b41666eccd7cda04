// A session of ONNX Runtime whose inputs and outputs are bound to this program's memory, so that a run copies nothing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "engine.h"
#include "library.h"
#include "onnxruntime_abi.h"

static struct ort_api api;
static void *env, *session, *memory, *binding, *values[2 * MAX_TENSORS];
static size_t value_count;
static float *other_outputs[MAX_TENSORS];  // except the first, which is the engine's

static void check(ort_status *status, const char *what) {
  if (status != NULL) fail("ONNX Runtime cannot %s: %s", what, api.get_error_message(status));
}

// Describes one input or output of the session; only fixed shapes of float32 can be bound.
static struct tensor described(bool is_input, size_t index) {
  const char *role = is_input ? "input" : "output";
  void *type = NULL;
  const void *description = NULL;
  int kind = 0, element = 0;
  size_t rank = 0;
  int64_t shape[MAX_RANK] = {0};
  check((is_input ? api.get_input_type : api.get_output_type)(session, index, &type), "tell a tensor's type");
  check(api.get_kind(type, &kind), "tell a value's kind");
  if (kind == ORT_TENSOR) {
    check(api.cast_type_to_tensor(type, &description), "tell a tensor's type");
    check(api.get_element_type(description, &element), "tell a tensor's element type");
    check(api.get_rank(description, &rank), "tell a tensor's rank");
  }
  if (kind != ORT_TENSOR || element != ORT_FLOAT)
    fail("%s %zu of the model must be a tensor of float32; found kind %d, element type %d", role, index, kind, element);
  if (rank <= MAX_RANK) check(api.get_shape(description, shape, rank), "tell a tensor's shape");
  api.release_type(type);
  return make_tensor(role, index, rank, shape);
}

// Binds a tensor's memory to the input or output of its index.
static void bind(bool is_input, size_t index, const struct tensor *tensor) {
  void *allocator = NULL, *value = NULL;
  char *name = NULL;
  check(api.create_tensor(memory, tensor->values, tensor->count * sizeof(float), tensor->shape, tensor->rank, ORT_FLOAT, &value),
        "make a tensor");
  values[value_count++] = value;
  check(api.get_allocator(&allocator), "give its allocator");
  check((is_input ? api.get_input_name : api.get_output_name)(session, index, allocator, &name), "tell a tensor's name");
  check((is_input ? api.bind_input : api.bind_output)(binding, name, value), "bind a tensor");
  check(api.free_text(allocator, name), "free a name");
}

static void bind_all(struct engine *engine) {
  size_t outputs = 0;
  check(api.get_input_count(session, &engine->input_count), "count the inputs");
  check(api.get_output_count(session, &outputs), "count the outputs");
  check_number_of("input", engine->input_count);
  check_number_of("output", outputs);
  check(api.create_cpu_memory(ORT_ARENA_ALLOCATOR, ORT_DEFAULT_MEMORY, &memory), "describe the memory");
  check(api.create_binding(session, &binding), "bind inputs and outputs");
  for (size_t i = 0; i < engine->input_count; i++) {
    engine->inputs[i] = described(true, i);
    bind(true, i, &engine->inputs[i]);
  }
  for (size_t i = 0; i < outputs; i++) {
    struct tensor output = described(false, i);
    bind(false, i, &output);
    if (i == 0)
      engine->output = output;
    else
      other_outputs[i] = output.values;
  }
}

static void append_nnapi(void *library, void *session_options, const struct options *options) {
  function found = find_function(library, "OrtSessionOptionsAppendExecutionProvider_Nnapi", true);
  if (found == NULL) fail("this library of ONNX Runtime is built without nnapi");
  ort_status *(*append)(void *, uint32_t) = (ort_status * (*)(void *, uint32_t)) found;
  check(append(session_options, options->cpu_fallback ? 0 : NNAPI_CPU_DISABLED), "use nnapi");
}

static void append_delegate(void *library, void *session_options, const struct options *options, const char *version) {
  char threads[16];
  const char *xnnpack_key = "intra_op_num_threads", *xnnpack_value = threads;
  const char *qnn_key = "backend_path", *qnn_value = "libQnnHtp.so";
  snprintf(threads, sizeof threads, "%d", options->threads);
  if (strcmp(options->delegate, "xnnpack") == 0)
    check(api.append_provider(session_options, "XNNPACK", &xnnpack_key, &xnnpack_value, 1), "use xnnpack");
  else if (strcmp(options->delegate, "nnapi") == 0)
    append_nnapi(library, session_options, options);
  else if (strcmp(options->delegate, "qnn") == 0)
    check(api.append_provider(session_options, "QNN", &qnn_key, &qnn_value, 1), "use qnn");
  else
    fail("--delegate of onnxruntime must be cpu, xnnpack, nnapi or qnn; found `%s`", options->delegate);
  if (options->cpu_fallback) return;
  int major = 0, minor = 0;  // an older library accepts the entry and falls back anyway
  if (sscanf(version, "%d.%d", &major, &minor) != 2 || major < 1 || (major == 1 && minor < 16))
    fail("ONNX Runtime %s cannot keep layers off the CPU: use 1.16 or newer, or --cpu-fallback", version);
  check(api.add_config(session_options, "session.disable_cpu_ep_fallback", "1"), "keep layers off the CPU");
}

// Returns options for the requested threads and delegate.
static void *session_options(void *library, const struct options *options, const char *version) {
  void *made = NULL;
  bool on_cpu = strcmp(options->delegate, "cpu") == 0, xnnpack = strcmp(options->delegate, "xnnpack") == 0;
  bool spins = options->threads > 1 && on_cpu;
  check(api.create_session_options(&made), "make options");
  check(api.set_graph_optimization_level(made, ORT_OPTIMIZE_ALL), "set its optimization");
  // XNNPACK has its own threads, and waiting threads of ONNX Runtime would take their cores
  check(api.set_intra_op_threads(made, xnnpack ? 1 : options->threads), "set its threads");
  check(api.set_inter_op_threads(made, 1), "set its threads");
  check(api.add_config(made, "session.intra_op.allow_spinning", spins ? "1" : "0"), "set its waiting");
  if (spins)  // within a run only
    check(api.add_config(made, "session.force_spinning_stop", "1"), "set its waiting");
  if (!on_cpu) append_delegate(library, made, options, version);
  return made;
}

static void put_inputs(const struct engine *engine) { (void)engine; }  // its memory is bound

static void get_output(struct engine *engine) { (void)engine; }

static void run(void) { check(api.run_with_binding(session, NULL, binding), "run the model"); }

static void close_session(void) {
  for (size_t i = 0; i < value_count; i++) api.release_value(values[i]);
  for (size_t i = 0; i < MAX_TENSORS; i++) free(other_outputs[i]);
  api.release_binding(binding);
  api.release_memory(memory);
  api.release_session(session);
  api.release_env(env);
}

void open_onnxruntime(struct engine *engine, const struct options *options) {
  void *library = open_library(options->library);
  const struct ort_base *(*get_base)(void) = (const struct ort_base *(*)(void))find_function(library, "OrtGetApiBase", false);
  const struct ort_base *base = get_base();
  const char *version = base == NULL ? NULL : base->get_version();
  const void *table = base == NULL ? NULL : base->get_api(ORT_API_VERSION);
  if (version == NULL || table == NULL) 
    fail("ONNX Runtime %s is too old: 1.%d or newer is needed", version == NULL ? "" : version, ORT_API_VERSION);
  snprintf(engine->version, sizeof engine->version, "%s", version);
  load_ort_api(&api, table);
  check(api.create_env(ORT_FATAL, "donna_runner", &env), "start");  // errors are answered, not logged
  void *made = session_options(library, options, version);
  check(api.create_session(env, options->model, made, &session), "open the model");
  api.release_session_options(made);
  bind_all(engine);
  engine->put_inputs = put_inputs;
  engine->run = run;
  engine->get_output = get_output;
  engine->close = close_session;
}
