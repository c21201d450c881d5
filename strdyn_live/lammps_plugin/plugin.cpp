/* Part of strdyn-live; under the GNU General Public License, version 2. */

#include "fix_strdyn.h"
#include "refusal.h"

using namespace LAMMPS_NS;

// STRDYN_LAMMPS_VERSION, such as 20250722, is that of the headers.
static_assert(STRDYN_LAMMPS_VERSION > 20000000, "version of the headers of LAMMPS");

static void *create(void *lammps, int narg, char **arg)
{
  return new FixStrdyn((LAMMPS *) lammps, narg, arg);
}

static void *refuse_version(void *lammps, int, char **)
{
  strdyn::refuse(lammps,
                 "fix strdyn: the plugin was built for LAMMPS " +
                     std::to_string(STRDYN_LAMMPS_VERSION) + ", but LAMMPS " +
                     std::to_string(strdyn::running_version(lammps)) +
                     " runs. Build it for this one with 'strdyn plugin build', in the environment "
                     "of strdyn-live (--lammps-src DIR for a LAMMPS of your own).");
}

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *regfunc)
{
  const bool fits = strdyn::running_version(lammps) == STRDYN_LAMMPS_VERSION;
  strdyn::register_fix(STRDYN_LAMMPS_TEXT, handle, regfunc, lammps, fits ? create : refuse_version);
}
