// AVX2 and FMA (x86-64-v3).
#define STRDYN_ISA strdyn_avx2
#include "gather.h"
#include "spectrum.h"

namespace strdyn {
const Isa isa_avx2 = {"avx2", STRDYN_ISA::search, STRDYN_ISA::sort_small_list, STRDYN_ISA::expand,
                           STRDYN_ISA::contract};
}
