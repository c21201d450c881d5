// What every LAMMPS with the PLUGIN package expects of a plugin, and a fix style that only says why
// it cannot be used. Needs no header of LAMMPS: it must work where the headers do not fit.

#ifndef STRDYN_REFUSAL_H
#define STRDYN_REFUSAL_H

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace strdyn {

struct Plugin {
  const char *version, *style, *name, *info, *author;
  void *(*creator)(void *, int, char **);
  void *handle;
};
using Register = void (*)(Plugin *, void *);

inline void register_fix(const char *version, void *handle, void *regfunc, void *lammps,
                         void *(*creator)(void *, int, char **))
{
  Plugin plugin{version,
                "fix",
                "strdyn",
                "SOAP spectra and neighbor lists of a run, recorded while it runs",
                "strdyn-live",
                creator,
                handle};
  ((Register) regfunc)(&plugin, lammps);
}

// Version of the LAMMPS that runs: 20250722.
inline int running_version(void *lammps)
{
  auto *version = (int (*)(void *)) dlsym(RTLD_DEFAULT, "lammps_version");
  return version ? version(lammps) : 0;
}

// End all ranks with a message, by LAMMPS's own error where it has a function for it.
[[noreturn]] inline void refuse(void *lammps, const std::string &message)
{
  auto *error = (void (*)(void *, int, const char *)) dlsym(RTLD_DEFAULT, "lammps_error");
  if (error) error(lammps, 2, message.c_str());    // 2: on all ranks
  std::fprintf(stderr, "ERROR: %s\n", message.c_str());
  std::exit(1);
}

}    // namespace strdyn

#endif
