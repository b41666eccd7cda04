// donna_runner: opens one model in one inference library and times its runs. README.md describes its protocol.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "count.h"
#include "engine.h"
#include "serve.h"

#if defined(__aarch64__)  // Android's names, on Linux too
#define ABI "arm64-v8a"
#elif defined(__arm__)
#define ABI "armeabi-v7a"
#elif defined(__x86_64__)
#define ABI "x86_64"
#else
#error "donna_runner knows ARM and x86-64"
#endif

static int count_of(const char *option, const char *value, int most) {
  long count = read_count(value, most);
  if (count == 0) fail("%s must be a whole number from 1 to %d; found `%s`", option, most, value);
  return (int)count;
}

static void read_option(struct options *options, const char *name, const char *value) {
  const struct {
    const char *name, **place;
  } texts[] = {
      {"--engine", &options->engine}, {"--library", &options->library}, {"--model", &options->model},
      {"--delegate", &options->delegate}, {"--zone", &options->zone}, {"--input", &options->input},
      {"--output", &options->output},
  };
  if (strncmp(name, "--", 2) != 0) fail("every word must belong to an option; found `%s`", name);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (value != NULL && strcmp(name, texts[i].name) == 0) {
      *texts[i].place = value;
      return;
    }
  }
  if (value != NULL && strcmp(name, "--threads") == 0)
    options->threads = count_of(name, value, MAX_THREADS);
  else if (value != NULL && strcmp(name, "--runs") == 0)
    options->runs = count_of(name, value, MAX_RUNS);
  else
    fail("an option must be known and have its value; found `%s`", name);
}

static struct options read_options(int count, char **words) {
  struct options options = {.threads = 1, .delegate = "cpu"};
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "--cpu-fallback") == 0) {
      options.cpu_fallback = true;
    } else {
      read_option(&options, words[i], i + 1 < count ? words[i + 1] : NULL);
      i++;
    }
  }
  if (options.engine == NULL || options.library == NULL || options.model == NULL)
    fail("--engine, --library and --model must be given");
  return options;
}

// The engines' messages for this do not name the file.
static void check_model(const char *path) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL) fail("the model must be a file: %s: %s", path, strerror(errno));
  fclose(file);
}

static void answer_ready(const struct engine *engine, const struct options *options, double init_s) {
  const struct tensor *input = &engine->inputs[0];
  fputs("{\"donna_runner\":1,\"engine\":", answers());
  put_string(options->engine);
  fputs(",\"version\":", answers());
  put_string(engine->version);
  fputs(",\"abi\":\"" ABI "\",\"delegate\":", answers());
  put_string(options->delegate);
  fputs(",\"input\":[", answers());
  for (size_t i = 0; i < input->rank; i++) fprintf(answers(), "%s%lld", i == 0 ? "" : ",", (long long)input->shape[i]);
  fputs("],\"init_s\":", answers());
  put_number(init_s);
  fputc('}', answers());
  send_answer();
}

int main(int count, char **words) {
  static struct engine engine;
  open_answers();
  struct options options = read_options(count, words);
  check_model(options.model);
  double began_s = now_s();
  if (strcmp(options.engine, "onnxruntime") == 0)
    open_onnxruntime(&engine, &options);
  else if (strcmp(options.engine, "litert") == 0)
    open_litert(&engine, &options);
  else
    fail("--engine must be onnxruntime or litert; found `%s`", options.engine);
  double init_s = now_s() - began_s;
  fill_inputs(options.input, engine.inputs, engine.input_count);
  engine.put_inputs(&engine);

  bool ran = options.runs > 0;
  if (ran) {
    answer_run(&engine, &options, options.runs);
  } else {
    answer_ready(&engine, &options, init_s);
    ran = serve(&engine, &options);
  }
  if (options.output != NULL) {
    if (!ran) engine.run();
    engine.get_output(&engine);
    write_values(options.output, &engine.output);
  }
  engine.close();
  for (size_t i = 0; i < engine.input_count; i++) free(engine.inputs[i].values);
  free(engine.output.values);
  return 0;
}
