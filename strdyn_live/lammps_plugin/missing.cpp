// Stands in where no plugin was built for the LAMMPS at hand: `fix strdyn` then says how to build it.

#include "refusal.h"

static void *missing(void *lammps, int, char **)
{
  const std::string version = std::to_string(strdyn::running_version(lammps));
  strdyn::refuse(lammps,
                 "fix strdyn: no plugin was built for this LAMMPS, version " + version +
                     ". Build it with 'strdyn plugin build', in the environment of strdyn-live "
                     "(needs a C++ compiler).");
}

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *regfunc)
{
  // LAMMPS warns of a version that differs, so this one says nothing of its own
  strdyn::register_fix("any", handle, regfunc, lammps, missing);
}
