// Times runs, and answers requests on standard input.
#ifndef DONNA_SERVE_H
#define DONNA_SERVE_H

#include "engine.h"

// Runs `count` times and answers with one line of samples.
void answer_run(const struct engine *engine, const struct options *options, long count);

// Answers `run N` until `quit` or the end of standard input. Returns whether anything ran.
bool serve(const struct engine *engine, const struct options *options);

#endif
