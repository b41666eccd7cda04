// The lines on standard output: one JSON object each.
#ifndef DONNA_ANSWER_H
#define DONNA_ANSWER_H

#include <stdio.h>

// Reserves standard output for answers: what a library prints there goes to standard error from now on.
void open_answers(void);

FILE *answers(void);

// Ends a line and sends it; exits where it cannot be written.
void send_answer(void);

// Writes a text as a JSON string; bytes that are not UTF-8 become the replacement character.
void put_string(const char *text);

// Writes a number with nine digits, in full precision for a time.
void put_number(double value);

// Answers {"error": ...} and ends the process with 1. Nothing of a line may be written before.
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
