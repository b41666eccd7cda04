/* The command line of the native runner; README.md says what it takes and what it answers. */
#include "runner.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long whole(const char *name, const char *text, long most) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*end || end == text || errno || value < 1 || value > most)
        fail("--%s must be a whole number from 1 to %ld: %s", name, most, text);
    return value;
}

static struct options parse(int count, char **words) {
    struct options options = {.delegate = "cpu", .threads = 1};
    enum { ENGINE, LIBRARY, MODEL, DELEGATE, ZONE, INPUT, OUTPUT, THREADS, RUNS, FALLBACK };
    static const struct option known[] = {
        {"engine", required_argument, NULL, ENGINE},     {"library", required_argument, NULL, LIBRARY},
        {"model", required_argument, NULL, MODEL},       {"delegate", required_argument, NULL, DELEGATE},
        {"zone", required_argument, NULL, ZONE},         {"input", required_argument, NULL, INPUT},
        {"output", required_argument, NULL, OUTPUT},     {"threads", required_argument, NULL, THREADS},
        {"runs", required_argument, NULL, RUNS},         {"cpu-fallback", no_argument, NULL, FALLBACK},
        {NULL, 0, NULL, 0},
    };
    const char **texts[] = {&options.engine, &options.library, &options.model, &options.delegate,
                            &options.zone,   &options.input,   &options.output};
    opterr = 0;
    for (int found; (found = getopt_long(count, words, "", known, NULL)) != -1;) {
        if (found == '?')
            fail("an option must be known and have its value: %s", words[optind - 1]);
        if (found <= OUTPUT)
            *texts[found] = optarg;
        else if (found == THREADS)
            options.threads = whole("threads", optarg, 256);
        else if (found == RUNS)
            options.runs = whole("runs", optarg, 10000000);
        else
            options.cpu_fallback = true;
    }
    if (optind < count)
        fail("every word must belong to an option: %s", words[optind]);
    if (!options.engine || !options.library || !options.model)
        fail("--engine, --library and --model must be given");
    return options;
}

int main(int count, char **words) {
    struct options options = parse(count, words);
    struct model model = {0};
    double start = clock_s();
    if (strcmp(options.engine, "onnxruntime") == 0)
        open_onnxruntime(&model, &options);
    else if (strcmp(options.engine, "litert") == 0)
        open_litert(&model, &options);
    else
        fail("--engine must be onnxruntime or litert: %s", options.engine);
    int code = serve(&model, &options, clock_s() - start);
    fflush(stdout);
    _Exit(code); /* what a library does at its end has made programs hang; the system frees everything */
}
