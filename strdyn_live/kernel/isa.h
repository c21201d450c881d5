// What the code of one instruction set offers to the rest of the kernel.
#pragma once

#include <cstdint>

namespace strdyn {

// A power spectrum, ready to be summed. Arrays over n are padded to n_pad, a multiple of 4.
struct Basis {
    int n_species, n_max, l_max, n_pad;
    bool deep;                 // Gaussians within reach may be less than 2^-1000
    bool cancelling;           // the weights are large: every digit of a Gaussian counts
    const double* exponents;   // (l_max + 1, n_pad): log2 of the k-th Gaussian at r = 1
    const double* weights;     // (l_max + 1, n_max, n_pad): share of Gaussian k in radial function n
    const double* recurrence;  // -c[l, m] of spectrum.h, for every m those of l >= m
    const double* norms;       // ((l_max + 1)(l_max + 1)): factor of every solid harmonic
};

// Atoms in the order of their cells.
struct Points {
    const double *x, *y, *z;
};

// Atoms begin <= i < end of Points.
struct Range {
    std::int32_t begin, end;
};

// What a search around one center found.
struct Found {
    double *dx, *dy, *dz;   // atoms within reach, relative to the center
    std::int32_t* near;     // atoms closer than near_radius
    std::int32_t n_within, n_near, n_coincident;
};

constexpr int max_small_list = 256;
constexpr int spill = 8;  // arrays of Found are this much longer than what they hold

struct Isa {
    const char* name;
    // Appends to `found` from all ranges: within reach (<=, as DScribe), near (<).
    void (*search)(const Points&, const Range* ranges, int n_ranges, const double center[3],
                   double reach_squared, double near_squared, Found& found);
    // Sorts 1 to max_small_list IDs, drops repetitions, returns how many are left; or -1: not possible.
    int (*sort_small_list)(std::int64_t* ids, int n);
    // density (n_harmonics, max_n) = sum over atoms of Gaussian x solid harmonic.
    // scratch: scratch_size(n_species) doubles.
    void (*expand)(const Basis&, int n_atoms, const double* dx, const double* dy, const double* dz,
                   double* scratch, double* density);
    // density (n_species, n_harmonics, max_n) is used up; spectrum: compact.
    void (*contract)(const Basis&, double* density, double* scratch, double* spectrum);
};

constexpr int block_size = 32;  // atoms summed at a time: their harmonics fit the L1 cache
constexpr int max_n = 16, max_l = 12;
constexpr int max_harmonics = (max_l + 1) * (max_l + 1);
constexpr int scratch_size(int n_species) {
    const int expand = (max_harmonics + max_n + 4) * block_size;
    const int contract = (n_species * max_harmonics + (max_l + 1) * max_n + 1) * max_n;
    return expand > contract ? expand : contract;
}

extern const Isa isa_baseline;
#if defined(STRDYN_X86)
extern const Isa isa_avx2, isa_avx512;
#endif

}  // namespace strdyn
