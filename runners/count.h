// Whole numbers in words of the command line and of requests.
#ifndef DONNA_COUNT_H
#define DONNA_COUNT_H

// Reads a whole decimal number of 1 to `most`; 0 where the text is no such number.
long read_count(const char *text, long most);

#endif
