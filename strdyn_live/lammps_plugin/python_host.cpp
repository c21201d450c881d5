#include "python_host.h"

#include <dlfcn.h>

#include <cstdlib>

namespace {

using Start = const char *(*) (const char *);
using Call = int (*)(void **, void *, const char *, const char *, const long long *, int, char **);
Call call = nullptr;

const char *setting(const char *name)
{
  const char *value = getenv(name);
  return value && *value ? value : nullptr;
}

}    // namespace

std::string start_python()
{
  if (call) return "";
  const char *bridge = setting("STRDYN_BRIDGE"), *python = setting("STRDYN_PYTHON");
  if (!bridge || !python)
    return "fix strdyn does not know in which environment strdyn-live is installed. Start LAMMPS "
           "with the lmp of that environment, or put 'eval \"$(strdyn shellenv)\"' before it";
  if (!dlsym(RTLD_DEFAULT, "Py_IsInitialized")) {
    const char *library = setting("STRDYN_LIBPYTHON");
    if (!library)
      return std::string("fix strdyn: the Python of this environment (") + python +
          ") has no shared library, so it cannot run inside lmp. Use another Python (with "
          "--enable-shared), or drive LAMMPS from Python: Recorder(...).attach(lmp, every=N)";
    if (!dlopen(library, RTLD_NOW | RTLD_GLOBAL))
      return std::string("fix strdyn cannot load the library of Python: ") + dlerror();
  }
  void *library = dlopen(bridge, RTLD_NOW | RTLD_GLOBAL);
  if (!library) return std::string("fix strdyn cannot load its bridge to Python: ") + dlerror();
  const char *unfit = ((Start) dlsym(library, "strdyn_start_python"))(python);
  if (unfit) return std::string("fix strdyn cannot start ") + python + ": " + unfit;
  call = (Call) dlsym(library, "strdyn_call");
  return "";
}

int python_call(void **session, void *lammps, const char *method, const char *text,
                const long long *numbers, int n_numbers, char **answer)
{
  return call(session, lammps, method, text, numbers, n_numbers, answer);
}
