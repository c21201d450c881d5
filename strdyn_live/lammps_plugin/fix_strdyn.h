/* Part of strdyn-live; this file, fix_strdyn.cpp and plugin.cpp are under the GNU General Public
   License, version 2, as they include headers of LAMMPS. */

#ifndef LMP_FIX_STRDYN_H
#define LMP_FIX_STRDYN_H

#include "fix.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

// fix ID group strdyn N key value ...: calls the Recorder, and hands back what it says of the atoms.
//
// Per atom: f_ID[1] LENS delta, f_ID[2] environment, f_ID[3] distance to the model. Globally:
// see `FixSession.names`.
class FixStrdyn : public Fix {
 public:
  FixStrdyn(class LAMMPS *, int, char **);
  ~FixStrdyn() override;
  int setmask() override;
  void init() override;
  void setup(int) override;
  void min_setup(int) override;
  void end_of_step() override;
  void post_run() override;

  void write_restart(FILE *) override;
  void restart(char *) override;

  void grow_arrays(int) override;
  void copy_arrays(int, int, int) override;
  void set_arrays(int) override;
  int pack_exchange(int, double *) override;
  int unpack_exchange(int, double *) override;

  double compute_vector(int) override;
  double memory_usage() override;

 private:
  static constexpr int N_COLUMNS = 3;

  void *session = nullptr;      // of Python
  double reach = 0.0;           // of the descriptors [length]
  std::vector<double> values;   // the global vector
  bool failed = false;

  std::string call(const char *method, const std::string &text = "",
                   const std::vector<long long> &numbers = {});
  void step(const char *method);
  double certain_shell() const;
};

}    // namespace LAMMPS_NS

#endif
