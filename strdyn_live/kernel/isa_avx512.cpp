// AVX-512 F, VL, DQ, BW (x86-64-v4).
#define STRDYN_ISA strdyn_avx512
#include "gather.h"
#include "spectrum.h"

namespace strdyn {
const Isa isa_avx512 = {"avx512", STRDYN_ISA::search, STRDYN_ISA::sort_small_list, STRDYN_ISA::expand,
                           STRDYN_ISA::contract};
}
