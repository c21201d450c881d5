// The instructions every processor of the architecture has: SSE2, or NEON.
#define STRDYN_ISA strdyn_baseline
#include "gather.h"
#include "spectrum.h"

namespace strdyn {
const Isa isa_baseline = {"baseline", STRDYN_ISA::search, STRDYN_ISA::sort_small_list, STRDYN_ISA::expand,
                           STRDYN_ISA::contract};
}
