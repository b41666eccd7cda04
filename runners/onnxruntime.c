/* ONNX Runtime, by its C interface: one table of functions that only ever grows at its end, so that a function is known by its place.
 *
 * That is ONNX Runtime's own promise to programs that were built against an older version of it; the places are those of version 1.12
 * (table 12) and later. */
#include "runner.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TABLE 12 /* the oldest table with SessionOptionsAppendExecutionProvider by name */

enum place {
    GetErrorMessage = 2,
    CreateEnv = 3,
    CreateSession = 7,
    CreateSessionOptions = 10,
    SetSessionLogSeverityLevel = 22,
    SetIntraOpNumThreads = 24,
    SetInterOpNumThreads = 25,
    SessionGetInputCount = 30,
    SessionGetOutputCount = 31,
    SessionGetInputTypeInfo = 33,
    SessionGetOutputTypeInfo = 34,
    SessionGetInputName = 36,
    SessionGetOutputName = 37,
    CreateTensorWithDataAsOrtValue = 49,
    CastTypeInfoToTensorInfo = 55,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    CreateCpuMemoryInfo = 69,
    GetAllocatorWithDefaultOptions = 78,
    AddSessionConfigEntry = 130,
    RunWithBinding = 133,
    CreateIoBinding = 134,
    BindInput = 136,
    BindOutput = 137,
    SessionOptionsAppendExecutionProvider = 216,
};

enum { FLOAT32 = 1, ARENA = 1, DEFAULT_MEMORY = 0, ONLY_FATAL = 4 };

typedef void *handle; /* of any of its objects; a status is one too, null for success */

struct base {
    void *const *(*get_table)(uint32_t version);
    const char *(*get_version)(void);
};

struct session {
    void *const *table;
    handle session, binding;
};

#define CALL(table, place, ...) check(table, ((handle(*)(ARGUMENTS_##place))(table)[place])(__VA_ARGS__))
#define ARGUMENTS_CreateEnv int, const char *, handle *
#define ARGUMENTS_CreateSession handle, const char *, handle, handle *
#define ARGUMENTS_CreateSessionOptions handle *
#define ARGUMENTS_SetSessionLogSeverityLevel handle, int
#define ARGUMENTS_SetIntraOpNumThreads handle, int
#define ARGUMENTS_SetInterOpNumThreads handle, int
#define ARGUMENTS_SessionGetInputCount handle, size_t *
#define ARGUMENTS_SessionGetOutputCount handle, size_t *
#define ARGUMENTS_SessionGetInputTypeInfo handle, size_t, handle *
#define ARGUMENTS_SessionGetOutputTypeInfo handle, size_t, handle *
#define ARGUMENTS_SessionGetInputName handle, size_t, handle, char **
#define ARGUMENTS_SessionGetOutputName handle, size_t, handle, char **
#define ARGUMENTS_CreateTensorWithDataAsOrtValue handle, void *, size_t, const int64_t *, size_t, int, handle *
#define ARGUMENTS_CastTypeInfoToTensorInfo handle, handle *
#define ARGUMENTS_GetTensorElementType handle, int *
#define ARGUMENTS_GetDimensionsCount handle, size_t *
#define ARGUMENTS_GetDimensions handle, int64_t *, size_t
#define ARGUMENTS_CreateCpuMemoryInfo int, int, handle *
#define ARGUMENTS_GetAllocatorWithDefaultOptions handle *
#define ARGUMENTS_AddSessionConfigEntry handle, const char *, const char *
#define ARGUMENTS_RunWithBinding handle, handle, handle
#define ARGUMENTS_CreateIoBinding handle, handle *
#define ARGUMENTS_BindInput handle, const char *, handle
#define ARGUMENTS_BindOutput handle, const char *, handle
#define ARGUMENTS_SessionOptionsAppendExecutionProvider handle, const char *, const char *const *, const char *const *, size_t

static void check(void *const *table, handle status) {
    if (status)
        fail("ONNX Runtime: %s", ((const char *(*)(handle))table[GetErrorMessage])(status));
}

static void describe(void *const *table, handle info, struct tensor *tensor, const char *what) {
    handle shape = NULL;
    int type = 0;
    size_t rank = 0;
    int64_t sizes[MAX_RANK] = {0};
    long long wide[MAX_RANK] = {0};
    CALL(table, CastTypeInfoToTensorInfo, info, &shape);
    if (!shape)
        fail("the %s must be a tensor", what);
    CALL(table, GetTensorElementType, shape, &type);
    if (type != FLOAT32)
        fail("the %s must be float32, not ONNX's type %d", what, type);
    CALL(table, GetDimensionsCount, shape, &rank);
    if (rank > MAX_RANK)
        fail("the %s must have at most %d axes, not %zu", what, MAX_RANK, rank);
    CALL(table, GetDimensions, shape, sizes, rank);
    for (size_t axis = 0; axis < rank; axis++)
        wide[axis] = sizes[axis];
    set_shape(tensor, wide, rank, what);
    tensor->data = reserve(tensor->count, sizeof *tensor->data);
}

/* Returns a tensor of the library over our own memory: a run copies nothing. */
static handle wrap(void *const *table, handle memory, const struct tensor *tensor) {
    int64_t shape[MAX_RANK];
    handle value = NULL;
    for (size_t axis = 0; axis < tensor->rank; axis++)
        shape[axis] = tensor->shape[axis];
    CALL(table, CreateTensorWithDataAsOrtValue, memory, tensor->data, tensor->count * sizeof(float), shape, tensor->rank, FLOAT32,
         &value);
    return value;
}

static void use_delegate(void *const *table, void *library, handle settings, const struct options *options) {
    if (strcmp(options->delegate, "cpu") == 0)
        return;
    if (strcmp(options->delegate, "nnapi") == 0) {
        handle (*append)(handle, uint32_t) =
            (handle(*)(handle, uint32_t))dlsym(library, "OrtSessionOptionsAppendExecutionProvider_Nnapi");
        if (!append)
            fail("this build of ONNX Runtime must have the delegate nnapi");
        check(table, append(settings, options->cpu_fallback ? 0 : 4)); /* 4: no reference CPU of NNAPI's own */
    } else if (strcmp(options->delegate, "xnnpack") == 0 || strcmp(options->delegate, "qnn") == 0) {
        char threads[16];
        snprintf(threads, sizeof threads, "%ld", options->threads);
        bool qnn = strcmp(options->delegate, "qnn") == 0;
        const char *key = qnn ? "backend_path" : "intra_op_num_threads";
        const char *value = qnn ? "libQnnHtp.so" : threads;
        CALL(table, SessionOptionsAppendExecutionProvider, settings, qnn ? "QNN" : "XNNPACK", &key, &value, 1);
    } else {
        fail("--delegate of onnxruntime must be cpu, xnnpack, nnapi or qnn: %s", options->delegate);
    }
    if (!options->cpu_fallback)
        CALL(table, AddSessionConfigEntry, settings, "session.disable_cpu_ep_fallback", "1");
}

static void run(struct model *model) {
    struct session *own = model->engine;
    CALL(own->table, RunWithBinding, own->session, NULL, own->binding);
}

/* Input and output are in our own memory already. */
static void nothing(struct model *model) { (void)model; }

void open_onnxruntime(struct model *model, const struct options *options) {
    void *library = open_library(options->library);
    const struct base *(*get_base)(void) = (const struct base *(*)(void))symbol(library, "OrtGetApiBase");
    const struct base *base = get_base();
    void *const *table = base->get_table(TABLE);
    if (!table)
        fail("ONNX Runtime must be of version 1.12 or later, not %s", base->get_version());
    snprintf(model->version, sizeof model->version, "%s", base->get_version());

    struct session *own = reserve(1, sizeof *own);
    handle environment = NULL, settings = NULL, memory = NULL, allocator = NULL, info = NULL;
    size_t inputs = 0, outputs = 0;
    char *name = NULL;
    own->table = table;
    CALL(table, CreateEnv, ONLY_FATAL, "donna_runner", &environment);
    CALL(table, CreateSessionOptions, &settings);
    CALL(table, SetSessionLogSeverityLevel, settings, ONLY_FATAL);
    CALL(table, SetIntraOpNumThreads, settings, (int)options->threads);
    CALL(table, SetInterOpNumThreads, settings, 1);
    CALL(table, AddSessionConfigEntry, settings, "session.intra_op.allow_spinning", options->threads > 1 ? "1" : "0");
    use_delegate(table, library, settings, options);
    CALL(table, CreateSession, environment, options->model, settings, &own->session);
    CALL(table, SessionGetInputCount, own->session, &inputs);
    CALL(table, SessionGetOutputCount, own->session, &outputs);
    if (inputs != 1 || outputs != 1)
        fail("the model must have one input and one output, not %zu and %zu", inputs, outputs);
    CALL(table, SessionGetInputTypeInfo, own->session, 0, &info);
    describe(table, info, &model->input, "input");
    CALL(table, SessionGetOutputTypeInfo, own->session, 0, &info);
    describe(table, info, &model->output, "output");
    CALL(table, CreateCpuMemoryInfo, ARENA, DEFAULT_MEMORY, &memory);
    CALL(table, GetAllocatorWithDefaultOptions, &allocator);
    CALL(table, CreateIoBinding, own->session, &own->binding);
    CALL(table, SessionGetInputName, own->session, 0, allocator, &name);
    CALL(table, BindInput, own->binding, name, wrap(table, memory, &model->input));
    CALL(table, SessionGetOutputName, own->session, 0, allocator, &name);
    CALL(table, BindOutput, own->binding, name, wrap(table, memory, &model->output));
    model->engine = own;
    model->feed = nothing;
    model->run = run;
    model->fetch = nothing;
}
