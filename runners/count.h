// Whole numbers on the command line and in requests.
#ifndef DONNA_COUNT_H
#define DONNA_COUNT_H

// Parses a whole decimal number of 1 to `most`; 0 where the text is no such number.
long read_count(const char *text, long most);

#endif
