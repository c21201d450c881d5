/* Part of strdyn-live; under the GNU General Public License, version 2. */

#include "fix_strdyn.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "group.h"
#include "memory.h"
#include "neighbor.h"
#include "output.h"
#include "python_host.h"
#include "universe.h"
#include "update.h"
#if __has_include("atom_masks.h")
#include "atom_masks.h"
#endif

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

using namespace LAMMPS_NS;
using namespace FixConst;

static constexpr char BETWEEN = '\x1f';    // of words; a word of an input script may hold blanks

FixStrdyn::FixStrdyn(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
{
  if (narg < 4)
    error->all("fix_strdyn.cpp", __LINE__,
               "fix strdyn: expected 'fix ID group strdyn N key value ...' with r_cut, elements and "
               "file, as in 'fix sd all strdyn 500 r_cut 6.0 elements Cu file run.sdl'");
  restart_global = 1;
  create_attribute = 1;
  maxexchange = N_COLUMNS;
#ifdef EMPTY_MASK
  datamask_read = X_MASK | TAG_MASK | TYPE_MASK | MASK_MASK;
  datamask_modify = EMPTY_MASK;
#endif

  std::string words = group->names[igroup];
  words += BETWEEN + std::to_string(universe->iworld) + BETWEEN + std::to_string(universe->nworlds);
  for (int k = 3; k < narg; k++) words += BETWEEN + std::string(arg[k]);

  const std::string unfit = start_python();
  if (!unfit.empty()) error->all("fix_strdyn.cpp", __LINE__, unfit);
  char *answer = nullptr;
  const int bad = python_call(&session, lmp, "", words.c_str(), nullptr, 0, &answer);
  const std::string message = answer;
  free(answer);
  if (bad) error->all("fix_strdyn.cpp", __LINE__, "fix strdyn: " + message);

  nevery = std::stoi(call("interval"));
  reach = std::stod(call("reach_of"));
  peratom_flag = 1;
  peratom_freq = 1;
  size_peratom_cols = N_COLUMNS;
  vector_flag = 1;
  extvector = 0;
  global_freq = 1;
  values.assign(std::stoul(call("n_values")), 0.0);
  size_vector = (int) values.size();

  FixStrdyn::grow_arrays(atom->nmax);
  atom->add_callback(Atom::GROW);
  for (int i = 0; i < atom->nlocal; i++) FixStrdyn::set_arrays(i);
}

FixStrdyn::~FixStrdyn()
{
  if (copymode) return;
  if (session) {
    char *answer = nullptr;
    python_call(&session, lmp, "close", "", nullptr, 0, &answer);
    free(answer);
  }
  atom->delete_callback(id, Atom::GROW);
  memory->destroy(array_atom);
}

int FixStrdyn::setmask() { return END_OF_STEP | POST_RUN; }

void FixStrdyn::init()
{
  // descriptors see farther than the pair style: ask for the ghosts here, after any read_restart
  if (comm->mode == Comm::SINGLE)
    comm->cutghostuser = std::fmax(comm->cutghostuser, reach + neighbor->skin);
}

void FixStrdyn::setup(int)
{
  if (!output->restart_flag && call("wants_restart") == "1")
    error->all("fix_strdyn.cpp", __LINE__,
               "fix strdyn: an event with 'do restart' needs the name of the files: put 'restart N "
               "NAME.*.restart' before the run (N may be larger than the number of steps)");
  step("start");
}

void FixStrdyn::min_setup(int) { step("minimize"); }

void FixStrdyn::end_of_step() { step("step"); }

void FixStrdyn::post_run() { step("end"); }

// One frame: Python reads the atoms, and writes into the arrays of this fix.
void FixStrdyn::step(const char *method)
{
  if (failed) return;
  const auto address = [](const void *pointer) { return (long long) (intptr_t) pointer; };
  std::int64_t bits;
  const double shell = certain_shell();
  std::memcpy(&bits, &shell, sizeof bits);
  const std::string wish =
      call(method, "",
           {update->ntimestep, atom->nlocal, address(atom->nlocal ? array_atom[0] : nullptr),
            address(values.data()), bits});
  if (wish == "restart") output->write_restart(update->ntimestep);
}

// Width of the ghost shell that LAMMPS guarantees at every step; 0 where it cannot be known.
//
// LAMMPS reneighbors before atoms can have come nearer by the skin, if it checks at every step and
// after all atoms have moved (respa checks before its inner loops).
double FixStrdyn::certain_shell() const
{
  const bool checked = neighbor->every == 1 && neighbor->delay == 0 && !neighbor->build_once &&
      strncmp(update->integrate_style, "verlet", 6) == 0;
  const bool partial = atom->firstgroup >= 0 || comm->mode != Comm::SINGLE;
  if (!checked || partial || (domain->triclinic && domain->box_change)) return 0.0;
  double width = 1.0 / 0.0;
  const double *h = domain->h_inv;
  const double per_length[3] = {std::sqrt(h[0] * h[0] + h[5] * h[5] + h[4] * h[4]),
                                std::sqrt(h[1] * h[1] + h[3] * h[3]), h[2]};
  for (int k = 0; k < 3; k++)
    width = std::fmin(width, comm->cutghost[k] / (domain->triclinic ? per_length[k] : 1.0));
  return width - neighbor->skin;
}

std::string FixStrdyn::call(const char *method, const std::string &text,
                            const std::vector<long long> &numbers)
{
  char *answer = nullptr;
  const int bad = python_call(&session, lmp, method, text.c_str(), numbers.data(),
                              (int) numbers.size(), &answer);
  const std::string result = answer;
  free(answer);
  if (bad) {
    failed = true;
    error->all("fix_strdyn.cpp", __LINE__, "fix strdyn: " + result);
  }
  return result;
}

// Where the recording stands; every rank is asked, as the atoms of all of them prove it.
void FixStrdyn::write_restart(FILE *file)
{
  const std::string state = failed ? "" : call("state");
  if (comm->me) return;
  const int size = (int) state.size() + 1;
  fwrite(&size, sizeof(int), 1, file);
  fwrite(state.c_str(), 1, size, file);
}

void FixStrdyn::restart(char *state) { call("resume", state); }

void FixStrdyn::grow_arrays(int nmax) { memory->grow(array_atom, nmax, N_COLUMNS, "strdyn:array"); }

void FixStrdyn::copy_arrays(int i, int j, int)
{
  for (int k = 0; k < N_COLUMNS; k++) array_atom[j][k] = array_atom[i][k];
}

void FixStrdyn::set_arrays(int i)
{
  array_atom[i][0] = array_atom[i][2] = 0.0;
  array_atom[i][1] = -1.0;
}

int FixStrdyn::pack_exchange(int i, double *buf)
{
  for (int k = 0; k < N_COLUMNS; k++) buf[k] = array_atom[i][k];
  return N_COLUMNS;
}

int FixStrdyn::unpack_exchange(int nlocal, double *buf)
{
  for (int k = 0; k < N_COLUMNS; k++) array_atom[nlocal][k] = buf[k];
  return N_COLUMNS;
}

double FixStrdyn::compute_vector(int k) { return values[k]; }

double FixStrdyn::memory_usage() { return sizeof(double) * N_COLUMNS * (double) atom->nmax; }
