// Opens shared libraries and finds functions in them.
#include "library.h"

#include <dlfcn.h>
#include <string.h>

#include "answer.h"

void *open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fail("the library must open: %s", dlerror());
  return library;
}

function find_function(void *library, const char *name, bool optional) {
  function found = NULL;
  void *address = dlsym(library, name);
  if (address == NULL && !optional) fail("the library must have the function %s: this is another library, or too old", name);
  memcpy(&found, &address, sizeof found);  // C has no cast from an object's address to a function's
  return found;
}
