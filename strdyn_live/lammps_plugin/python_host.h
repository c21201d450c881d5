// The Python that runs the Recorder: the host's, or that of the environment, loaded when needed.

#ifndef STRDYN_PYTHON_HOST_H
#define STRDYN_PYTHON_HOST_H

#include <string>

// Find or start Python. Returns nothing, or why it cannot be had and what to do.
std::string start_python();

// `strdyn_call` of bridge.cpp.
int python_call(void **session, void *lammps, const char *method, const char *text,
                const long long *numbers, int n_numbers, char **answer);

#endif
