// A CompiledModel of LiteRT whose inputs and outputs are buffers of the kind that the accelerator requires.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "engine.h"
#include "library.h"
#include "litert_abi.h"

static struct litert_api api;
static void *environment, *model, *compiled, *signature;
static void *input_buffers[MAX_TENSORS], *output_buffers[MAX_TENSORS];
static size_t input_count, output_count;

static const char *words_of(int status) {
  static const struct {
    int status;
    const char *words;
  } known[] = {
      {1, "invalid argument"}, {2, "no memory"}, {3, "failure of the runtime"}, {5, "unsupported"}, {6, "not found"},
      {8, "wrong version"}, {500, "the file cannot be read as a model"}, {501, "the file is no model"},
      {502, "a library cannot be loaded"}, {504, "the delegate cannot compute all of the model"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == status) return known[i].words;
  return "its log on standard error may say why";
}

static void check(int status, const char *what) {
  if (status != LITERT_OK) fail("LiteRT cannot %s: status %d, %s", what, status, words_of(status));
}

static int accelerators_of(const struct options *options) {
  const int fallback = options->cpu_fallback ? LITERT_CPU : 0;
  if (strcmp(options->delegate, "cpu") == 0) return LITERT_CPU;
  if (strcmp(options->delegate, "gpu") == 0) return LITERT_GPU | fallback;
  if (strcmp(options->delegate, "npu") == 0) return LITERT_NPU | fallback;
  fail("--delegate of litert must be cpu, gpu or npu; found `%s`", options->delegate);
}

// Opens the environment; the libraries of a GPU or NPU are searched next to LiteRT's library.
static void open_environment(const struct options *options) {
  static const int tags[] = {LITERT_RUNTIME_DIR, LITERT_COMPILER_DIR, LITERT_DISPATCH_DIR};  // the last two are the NPU's
  struct litert_option places[3];
  char *folder = strdup(options->library), *slash = folder == NULL ? NULL : strrchr(folder, '/');
  if (folder == NULL) fail("no memory for a path");
  if (slash != NULL) slash[slash == folder] = 0;  // the slash of the root folder remains
  int accelerators = accelerators_of(options), count = accelerators & LITERT_NPU ? 3 : accelerators & LITERT_GPU ? 1 : 0;
  if (slash == NULL) count = 0;  // where the system searches
  memset(places, 0, sizeof places);
  for (int i = 0; i < 3; i++) {
    places[i].tag = tags[i];
    places[i].value.kind = LITERT_STRING;
    places[i].value.as.text = folder;
  }
  check(api.create_environment(count, count > 0 ? places : NULL, &environment), "start");
  free(folder);
}

static void add_settings(void *options, const char *name, const char *format, int value) {
  char text[64];
  void *opaque = NULL;
  snprintf(text, sizeof text, format, value);
  char *owned = strdup(text);  // LiteRT frees it
  if (owned == NULL) fail("no memory for options");
  check(api.create_opaque(name, owned, free, &opaque), "take options");
  check(api.add_opaque(options, opaque), "take options");
}

static void compile(void *library, const struct options *options) {
  void *made = NULL;
  int accelerators = accelerators_of(options);
  check(api.create_options(&made), "make options");
  check(api.set_accelerators(made, accelerators), "choose the delegate");
  if (accelerators & LITERT_CPU)
    add_settings(made, "xnnpack", "num_threads = %d\n", options->threads);
  else if (options->threads > 1)
    fail("threads are the CPU's: --threads must be 1 with the delegate %s; found %d", options->delegate, options->threads);
  if (accelerators & LITERT_GPU) add_settings(made, "gpu_options", "wait_type = %d\n", 1);  // a run ends when the GPU is done
  check(api.compile(environment, model, made, &compiled), "compile the model for the delegate");
  api.destroy_options(made);
  if (accelerators & LITERT_CPU) return;

  bool fully = false;
  function stricter = find_function(library, "LiteRtCompiledModelIsNonCpuFullyAccelerated", true);  // since 2.3
  int (*is_accelerated)(void *, bool *) = stricter == NULL ? api.is_accelerated : (int (*)(void *, bool *))stricter;
  check(is_accelerated(compiled, &fully), "tell where the model runs");
  if (!fully) fail("the delegate %s cannot compute all of the model: --cpu-fallback lets the CPU compute the rest", options->delegate);
}

// Describes an input or output of the first signature and makes its buffer.
static struct tensor described(bool is_input, size_t index, void **buffer) {
  const char *role = is_input ? "input" : "output";
  void *tensor = NULL, *needs = NULL;
  int kind = -1;
  struct litert_type type;
  int64_t shape[MAX_RANK];
  size_t bytes = 0;
  memset(&type, 0, sizeof type);
  check((is_input ? api.get_input : api.get_output)(signature, index, &tensor), "find a tensor");
  check(api.get_kind(tensor, &kind), "tell a tensor's type");
  if (kind != LITERT_RANKED) fail("%s %zu of the model must have a fixed shape; found one without a rank", role, index);
  check(api.get_type(tensor, &type), "tell a tensor's type");
  if (type.element != LITERT_FLOAT32) fail("%s %zu of the model must be float32; found element type %d", role, index, type.element);
  for (size_t i = 0; i < MAX_RANK; i++) shape[i] = type.dimensions[i];
  struct tensor made = make_tensor(role, index, type.rank, shape);
  check((is_input ? api.input_needs : api.output_needs)(compiled, 0, index, &needs), "tell what buffer it needs");
  check(api.create_buffer(environment, &type, needs, buffer), "make a buffer");
  check(api.get_packed_size(*buffer, &bytes), "tell a buffer's size");
  if (bytes != made.count * sizeof(float)) 
    fail("%s %zu of the model has a buffer of %zu bytes for %zu values", role, index, bytes, made.count);
  return made;
}

static void copy(void *buffer, struct tensor *tensor, int mode) {
  void *address = NULL;
  check(api.lock(buffer, &address, mode), "open a buffer");
  if (mode == LITERT_WRITE)
    memcpy(address, tensor->values, tensor->count * sizeof(float));
  else
    memcpy(tensor->values, address, tensor->count * sizeof(float));
  check(api.unlock(buffer), "close a buffer");
}

static void put_inputs(const struct engine *engine) {
  for (size_t i = 0; i < input_count; i++) {
    struct tensor input = engine->inputs[i];
    copy(input_buffers[i], &input, LITERT_WRITE);
  }
}

static void get_output(struct engine *engine) { copy(output_buffers[0], &engine->output, LITERT_READ); }

static void run(void) {  // waits for the outputs: only the library's asynchronous call returns earlier
  check(api.run(compiled, 0, input_count, input_buffers, output_count, output_buffers), "run the model");
}

static void close_model(void) {
  for (size_t i = 0; i < input_count; i++) api.destroy_buffer(input_buffers[i]);
  for (size_t i = 0; i < output_count; i++) api.destroy_buffer(output_buffers[i]);
  api.destroy_compiled(compiled);
  api.destroy_model(model);
  api.destroy_environment(environment);
}

void open_litert(struct engine *engine, const struct options *options) {
  void *library = open_library(options->library);
  LITERT_FUNCTIONS(LITERT_LOAD)
  if (find_function(library, "LiteRtCreateModelFromFd", true) == NULL)  // since models need the environment
    fail("this library of LiteRT is too old: 2.1.6 or newer is needed");
  snprintf(engine->version, sizeof engine->version, "2");  // it has no function that reports more
  open_environment(options);
  check(api.create_model(environment, options->model, &model), "open the model");
  check(api.get_signature(model, 0, &signature), "find the model's signature");
  check(api.get_input_count(signature, &input_count), "count the inputs");
  check(api.get_output_count(signature, &output_count), "count the outputs");
  check_number_of("input", input_count);
  check_number_of("output", output_count);
  compile(library, options);
  engine->input_count = input_count;
  for (size_t i = 0; i < input_count; i++) engine->inputs[i] = described(true, i, &input_buffers[i]);
  for (size_t i = 0; i < output_count; i++) {
    struct tensor output = described(false, i, &output_buffers[i]);
    if (i == 0)
      engine->output = output;
    else
      free(output.values);
  }
  engine->put_inputs = put_inputs;
  engine->run = run;
  engine->get_output = get_output;
  engine->close = close_model;
}
