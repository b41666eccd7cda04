// Writes JSON lines, and the line of an error.
#include "answer.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *stream;

// A driver or library that crashes on a model also ends in a line of an error. A partly written line in the stream's memory is lost.
static void answer_crash(int number) {
  char text[] = "{\"error\":\"the library crashed with signal 00\"}\n";
  char *digits = strstr(text, "00");
  digits[0] = (char)('0' + number / 10);
  digits[1] = (char)('0' + number % 10);
  ssize_t sent = write(fileno(stream), text, sizeof text - 1);
  _exit(sent < 0 ? 2 : 1);
}

static void catch_crashes(void) {
  static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  static char room[1 << 16];  // separate: the crash may be a stack overflow
  struct sigaction action;
  stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
  memset(&action, 0, sizeof action);
  action.sa_handler = answer_crash;
  action.sa_flags = SA_ONSTACK;
  sigaltstack(&stack, NULL);
  for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) sigaction(crashes[i], &action, NULL);
}

void open_answers(void) {
  int copy = dup(STDOUT_FILENO);
  stream = copy < 0 ? NULL : fdopen(copy, "w");
  if (stream == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(1);  // there is nowhere to report it
  catch_crashes();
}

FILE *answers(void) { return stream; }

void send_answer(void) {
  fputc('\n', stream);
  if (fflush(stream) != 0 || ferror(stream)) _exit(1);
}

// Returns the length of the UTF-8 character that begins here, 0 where there is none.
static int character_length(const unsigned char *at) {
  unsigned first = at[0], low = 0x80, high = 0xBF;
  int length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : 4;
  if (first >= 0x80 && (first < 0xC2 || first > 0xF4)) return 0;
  if (first == 0xE0) low = 0xA0;   // overlong
  if (first == 0xED) high = 0x9F;  // half of a surrogate pair
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;  // beyond the last character
  for (int i = 1; i < length; i++, low = 0x80, high = 0xBF)
    if (at[i] < low || at[i] > high) return 0;  // the text's end is 0, so this never reads past it
  return length;
}

void put_string(const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  fputc('"', stream);
  while (*at != 0) {
    int length = character_length(at);
    if (length == 0) {
      fputs("\\ufffd", stream);
      at++;
    } else if (*at == '"' || *at == '\\') {
      fprintf(stream, "\\%c", *at++);
    } else if (*at < 0x20 || *at == 0x7F) {
      fprintf(stream, "\\u%04x", (unsigned)*at++);
    } else {
      fwrite(at, 1, (size_t)length, stream);
      at += length;
    }
  }
  fputc('"', stream);
}

void put_number(double value) { fprintf(stream, "%.9g", value); }

void fail(const char *format, ...) {
  char message[4096];
  va_list values;
  va_start(values, format);
  if (vsnprintf(message, sizeof message, format, values) < 0) message[0] = 0;
  va_end(values);
  fputs("{\"error\":", stream);
  put_string(message);
  fputc('}', stream);
  send_answer();
  _exit(1);  // not exit(): destructors would run while a library's threads may still run
}
