// An inference library with one model opened in it.
#ifndef DONNA_ENGINE_H
#define DONNA_ENGINE_H

#include "options.h"
#include "tensor.h"

struct engine {
  char version[64];  // of the library
  size_t input_count;
  struct tensor inputs[MAX_TENSORS];
  struct tensor output;  // the first

  void (*put_inputs)(const struct engine *engine);  // hands `inputs` to the library
  void (*run)(void);                                // returns when the outputs are complete
  void (*get_output)(struct engine *engine);        // fills `output`
  void (*close)(void);
};

// Each opens the library and the model, ready to run, or fails with the library's message.
void open_onnxruntime(struct engine *engine, const struct options *options);
void open_litert(struct engine *engine, const struct options *options);

#endif
