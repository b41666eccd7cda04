/* LiteRT, by the C interface of its compiled models; the library is libLiteRt.so of version 2. */
#include "runner.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void *handle;

/* LiteRtRankedTensorType: 72 bytes. */
struct tensor_type {
    int element;
    unsigned int rank : 7;
    unsigned int has_strides : 1;
    int32_t sizes[8];
    uint32_t strides[8];
};

enum { FLOAT32 = 1, CPU = 1, GPU = 2, NPU = 4, READ = 0, WRITE = 1 };

struct compiled {
    handle model, input, output;
    const char *(*say)(int);
    int (*run)(handle, size_t, size_t, handle *, size_t, handle *);
    int (*lock)(handle, void **, int);
    int (*unlock)(handle);
};

static void check(const struct compiled *own, int status, const char *what) {
    if (status)
        fail("LiteRT must %s: %s", what, own->say ? own->say(status) : "no reason given");
}

static void describe(const struct tensor_type *type, struct tensor *tensor, const char *what) {
    long long shape[MAX_RANK];
    if (type->element != FLOAT32)
        fail("the %s must be float32, not LiteRT's type %d", what, type->element);
    if (type->rank > MAX_RANK)
        fail("the %s must have at most %d axes", what, MAX_RANK);
    for (unsigned int axis = 0; axis < type->rank; axis++)
        shape[axis] = type->sizes[axis];
    set_shape(tensor, shape, type->rank, what);
    tensor->data = reserve(tensor->count, sizeof *tensor->data);
}

static int accelerators(const struct options *options) {
    int own = 0;
    if (strcmp(options->delegate, "cpu") == 0)
        return CPU;
    if (strcmp(options->delegate, "gpu") == 0)
        own = GPU;
    else if (strcmp(options->delegate, "npu") == 0)
        own = NPU;
    else
        fail("--delegate of litert must be cpu, gpu or npu: %s", options->delegate);
    return options->cpu_fallback ? own | CPU : own;
}

static void run(struct model *model) {
    struct compiled *own = model->engine;
    check(own, own->run(own->model, 0, 1, &own->input, 1, &own->output), "run the model");
}

static void copy(struct compiled *own, handle buffer, struct tensor *tensor, int mode) {
    void *memory = NULL;
    size_t bytes = tensor->count * sizeof(float);
    check(own, own->lock(buffer, &memory, mode), "give its buffer");
    if (mode == WRITE)
        memcpy(memory, tensor->data, bytes);
    else
        memcpy(tensor->data, memory, bytes);
    check(own, own->unlock(buffer), "take its buffer back");
}

static void fetch(struct model *model) {
    struct compiled *own = model->engine;
    copy(own, own->output, &model->output, READ);
}

static void feed(struct model *model) {
    struct compiled *own = model->engine;
    copy(own, own->input, &model->input, WRITE);
}

/* Finds the functions of the library, by their names without the prefix LiteRt. */
#define FIND(library, result, name, ...) result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))symbol(library, "LiteRt" #name)

void open_litert(struct model *model, const struct options *options) {
    void *library = open_library(options->library);
    FIND(library, int, CreateEnvironment, int, const void *, handle *);
    FIND(library, int, CreateModelFromFile, handle, const char *, handle *);
    FIND(library, int, CreateOptions, handle *);
    FIND(library, int, SetOptionsHardwareAccelerators, handle, int);
    FIND(library, int, CreateCompiledModel, handle, handle, handle, handle *);
    FIND(library, int, GetModelSubgraph, handle, size_t, handle *);
    FIND(library, int, GetNumSubgraphInputs, handle, size_t *);
    FIND(library, int, GetNumSubgraphOutputs, handle, size_t *);
    FIND(library, int, GetSubgraphInput, handle, size_t, handle *);
    FIND(library, int, GetSubgraphOutput, handle, size_t, handle *);
    FIND(library, int, GetRankedTensorType, handle, struct tensor_type *);
    FIND(library, int, GetCompiledModelInputBufferRequirements, handle, size_t, size_t, handle *);
    FIND(library, int, GetCompiledModelOutputBufferRequirements, handle, size_t, size_t, handle *);
    FIND(library, int, CreateManagedTensorBufferFromRequirements, handle, const struct tensor_type *, handle, handle *);
    FIND(library, int, CompiledModelIsFullyAccelerated, handle, bool *);

    struct compiled *own = reserve(1, sizeof *own);
    handle environment = NULL, file = NULL, settings = NULL, graph = NULL, tensor = NULL, needs = NULL;
    struct tensor_type in = {0}, out = {0};
    size_t inputs = 0, outputs = 0;
    bool whole = false;
    own->say = (const char *(*)(int))dlsym(library, "LiteRtGetStatusString");
    own->run = (int (*)(handle, size_t, size_t, handle *, size_t, handle *))symbol(library, "LiteRtRunCompiledModel");
    own->lock = (int (*)(handle, void **, int))symbol(library, "LiteRtLockTensorBuffer");
    own->unlock = (int (*)(handle))symbol(library, "LiteRtUnlockTensorBuffer");
    if (options->threads != 1)
        fail("--threads of litert must be 1: its interface has no other way");
    int wanted = accelerators(options);
    FILE *there = fopen(options->model, "rb");
    if (!there)
        fail("the model must be a file: %s", options->model);
    fclose(there);

    check(own, CreateEnvironment(0, NULL, &environment), "make an environment");
    check(own, CreateModelFromFile(environment, options->model, &file), "load the model");
    check(own, CreateOptions(&settings), "make options");
    check(own, SetOptionsHardwareAccelerators(settings, wanted), "take the delegate");
    check(own, CreateCompiledModel(environment, file, settings, &own->model), "compile the model for the delegate");
    check(own, CompiledModelIsFullyAccelerated(own->model, &whole), "tell whether all of the model is accelerated");
    if (wanted != CPU && !whole && !options->cpu_fallback)
        fail("the delegate %s must run the whole model", options->delegate);
    check(own, GetModelSubgraph(file, 0, &graph), "tell the model's graph");
    check(own, GetNumSubgraphInputs(graph, &inputs), "tell the inputs");
    check(own, GetNumSubgraphOutputs(graph, &outputs), "tell the outputs");
    if (inputs != 1 || outputs != 1)
        fail("the model must have one input and one output, not %zu and %zu", inputs, outputs);
    check(own, GetSubgraphInput(graph, 0, &tensor), "tell the input");
    check(own, GetRankedTensorType(tensor, &in), "tell the input's type");
    check(own, GetSubgraphOutput(graph, 0, &tensor), "tell the output");
    check(own, GetRankedTensorType(tensor, &out), "tell the output's type");
    describe(&in, &model->input, "input");
    describe(&out, &model->output, "output");
    check(own, GetCompiledModelInputBufferRequirements(own->model, 0, 0, &needs), "tell what its input needs");
    check(own, CreateManagedTensorBufferFromRequirements(environment, &in, needs, &own->input), "make the input");
    check(own, GetCompiledModelOutputBufferRequirements(own->model, 0, 0, &needs), "tell what its output needs");
    check(own, CreateManagedTensorBufferFromRequirements(environment, &out, needs, &own->output), "make the output");
    snprintf(model->version, sizeof model->version, "2"); /* it tells no version of its own */
    model->engine = own;
    model->feed = feed;
    model->run = run;
    model->fetch = fetch;
}
