// The spectrum of one center: expansion of the density, then its power. Compiled once per
// instruction set.
//
// c[n, l, m] = sum_k weight[l, n, k] sum_j exp(-a[l, k] r_j^2) R_lm(r_j)
//
// with real solid harmonics R_lm, so that nothing is divided by r and the center is an atom like
// all others. The sum over the atoms j runs over the k Gaussians, one lane each, not over the
// orthonormal radial functions: those are combined once per center.
#pragma once

#include "isa.h"
#include "simd.h"

namespace STRDYN_ISA {

using strdyn::Basis;
using strdyn::block_size;

// ------------------------------------------------------------------------------------------ sums

// How the columns of a product lie in registers: NV of type V, M rows of sums at a time.
template <class V_, int NV_, int M_> struct Tile {
    using V = V_;
    static constexpr int NV = NV_, M = M_;
};

// All sums below are products of small matrices, c[i, :] = sum_j a[i, j] b[j, :], with the rows of c
// and b as long as NV registers and M rows of c held in registers. AI and AJ are the strides of a,
// rows of c are row_size apart. Add: the sums are added to c.
constexpr int row_size = strdyn::max_n;

template <class V, int NV, int M, int AI, int AJ, bool Add>
inline void product(int n_j, const double* a, const double* b, int b_stride, double* c) {
    // A sum waits 4 cycles for its last term: with few sums, several terms at a time.
    constexpr int n_terms = M * NV >= 7 ? 1 : M * NV >= 3 ? 2 : 4;
    V sum[n_terms][M][NV] = {};
    int j = 0;
    for (; j + n_terms <= n_j; j += n_terms) {
#pragma GCC unroll 8
        for (int t = 0; t < n_terms; ++t, a += AJ, b += b_stride) {
            V factor[NV];
#pragma GCC unroll 8
            for (int v = 0; v < NV; ++v) factor[v] = load<V>(b + v * lanes<V>);
#pragma GCC unroll 32
            for (int i = 0; i < M; ++i) {
                const V element = broadcast<V>(a[i * AI]);
#pragma GCC unroll 8
                for (int v = 0; v < NV; ++v) sum[t][i][v] = fma(element, factor[v], sum[t][i][v]);
            }
        }
    }
    for (; j < n_j; ++j, a += AJ, b += b_stride)
        for (int i = 0; i < M; ++i)
            for (int v = 0; v < NV; ++v)
                sum[0][i][v] = fma(broadcast<V>(a[i * AI]), load<V>(b + v * lanes<V>), sum[0][i][v]);
#pragma GCC unroll 32
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) {
            double* to = c + i * row_size + v * lanes<V>;
            V total = sum[0][i][v];
#pragma GCC unroll 8
            for (int t = 1; t < n_terms; ++t) total += sum[t][i][v];
            if (Add) total += load<V>(to);
            store(to, total);
        }
}

template <class V, int NV, int M, int AI, int AJ, bool Add>
inline void product_of_rows(int n_i, int n_j, const double* a, const double* b, int b_stride,
                                double* c) {
    if constexpr (M > 0) {
        if (n_i == M)
            product<V, NV, M, AI, AJ, Add>(n_j, a, b, b_stride, c);
        else
            product_of_rows<V, NV, M - 1, AI, AJ, Add>(n_i, n_j, a, b, b_stride, c);
    }
}

// The same for any number of rows of c, in parts of at most M and nearly equal size.
template <class V, int NV, int M, int AI, int AJ, bool Add>
inline void product_in_parts(int n_i, int n_j, const double* a, const double* b, int b_stride,
                                 double* c) {
    const int n_parts = (n_i + M - 1) / M;
    for (int part = 0, i = 0; part < n_parts; ++part) {
        const int next = n_i * (part + 1) / n_parts;
        product_of_rows<V, NV, M, AI, AJ, Add>(next - i, n_j, a + i * AI, b, b_stride, c + i * row_size);
        i = next;
    }
}

// Columns are taken 8 at a time, then 4: f<V, NV, M>(first column), M chosen for the registers.
template <class F> inline void for_columns(int n_pad, const F& f) {
    int k = 0;
#if defined(__AVX512F__)
    for (; k + 8 <= n_pad; k += 8) f(Tile<V8, 1, 25>{}, k);
    if (k < n_pad) f(Tile<V4, 1, 25>{}, k);
#elif defined(__AVX2__)
    for (; k + 8 <= n_pad; k += 8) f(Tile<V4, 2, 6>{}, k);
    if (k < n_pad) f(Tile<V4, 1, 12>{}, k);
#elif defined(__aarch64__)
    for (; k + 8 <= n_pad; k += 8) f(Tile<V2, 4, 6>{}, k);
    if (k < n_pad) f(Tile<V2, 2, 12>{}, k);
#else
    for (; k + 8 <= n_pad; k += 8) f(Tile<V2, 4, 3>{}, k);
    if (k < n_pad) f(Tile<V2, 2, 6>{}, k);
#endif
}

// ------------------------------------------------------------------------------------- expansion

// Solid harmonics of one block, up to the factors Basis::norms. Row (l, m) is at
// rows[row * block_size], row = l^2 for m = 0, l^2 + 2m - 1 (cosine) and l^2 + 2m (sine) for m > 0.
// R_lm = N_lm(z, r^2) Re or Im (x + iy)^m, N_mm = 1, N_l+1 = z N_l - c[l, m] r^2 N_l-1
// with c[l, m] = (l^2 - m^2) / (4 l^2 - 1).
inline void fill_harmonics(const Basis& basis, int n_atoms, const double* dx, const double* dy,
                           const double* dz, double* rows) {
    constexpr int n_chains = 2;  // registers side by side: one chain of sums would wait for itself
    constexpr int width = n_chains * lanes<Wide>;
    const int l_max = basis.l_max;
    for (int start = 0; start < n_atoms; start += width) {
        Wide x[n_chains], y[n_chains], z[n_chains], r2[n_chains], re[n_chains], im[n_chains];
        for (int i = 0; i < n_chains; ++i) {
            const int j = start + i * lanes<Wide>;
            x[i] = load<Wide>(dx + j);
            y[i] = load<Wide>(dy + j);
            z[i] = load<Wide>(dz + j);
            r2[i] = fma(x[i], x[i], fma(y[i], y[i], z[i] * z[i]));
            re[i] = broadcast<Wide>(1.0);
            im[i] = Wide{};
        }
        const double* minus_c = basis.recurrence;
        for (int m = 0; m <= l_max; ++m) {
            double* row = rows + (m * m + (m == 0 ? 0 : 2 * m - 1)) * block_size + start;
            Wide before[n_chains] = {}, now[n_chains];
            for (int i = 0; i < n_chains; ++i) now[i] = broadcast<Wide>(1.0);
            for (int l = m; l <= l_max; ++l, row += (2 * l - 1) * block_size) {
                const Wide c = broadcast<Wide>(*minus_c++);
#pragma GCC unroll 4
                for (int i = 0; i < n_chains; ++i) {
                    store(row + i * lanes<Wide>, now[i] * re[i]);
                    if (m > 0) store(row + block_size + i * lanes<Wide>, now[i] * im[i]);
                    const Wide next = fma(z[i], now[i], c * (r2[i] * before[i]));
                    before[i] = now[i];
                    now[i] = next;
                }
            }
            for (int i = 0; i < n_chains; ++i) {
                const Wide turned = fma(x[i], re[i], -(y[i] * im[i]));
                im[i] = fma(x[i], im[i], y[i] * re[i]);
                re[i] = turned;
            }
        }
    }
}

// exp(-a[l, k] r_j^2) for NV registers of k; n_atoms is rounded up to a multiple of 4.
template <class V, int NV, bool Careful>
inline void fill_gaussians(int n_atoms, const double* exponents, const double* r2, double* gaussians) {
    V exponent[NV];
    for (int v = 0; v < NV; ++v) exponent[v] = load<V>(exponents + v * lanes<V>);
    constexpr int n_chains = NV >= 4 ? 1 : 4 / NV;
    for (int j = 0; j < n_atoms; j += n_chains) {
        V x[n_chains * NV];
#pragma GCC unroll 8
        for (int i = 0; i < n_chains; ++i)
#pragma GCC unroll 8
            for (int v = 0; v < NV; ++v) x[i * NV + v] = broadcast<V>(r2[j + i]);
        exp2_of_products<V, NV, n_chains * NV, Careful>(exponent, x);
#pragma GCC unroll 8
        for (int i = 0; i < n_chains * NV; ++i) store(gaussians + (j * NV + i) * lanes<V>, x[i]);
    }
}

// density (n_harmonics, row_size) = sum over the atoms of harmonic x Gaussian.
void expand(const Basis& basis, int n_atoms, const double* dx, const double* dy, const double* dz,
            double* scratch, double* density) {
    const int n_harmonics = (basis.l_max + 1) * (basis.l_max + 1);
    __builtin_memset(density, 0, sizeof(double) * n_harmonics * row_size);
    double* const rows = scratch;
    double* const gaussians = rows + strdyn::max_harmonics * block_size;
    double* const x = gaussians + strdyn::max_n * block_size;
    double *const y = x + block_size, *const z = y + block_size, *const r2 = z + block_size;
    for (int start = 0; start < n_atoms; start += block_size) {
        const int n = n_atoms - start < block_size ? n_atoms - start : block_size;
        for (int j = 0; j < block_size; ++j) {
            const bool real = j < n;
            x[j] = real ? dx[start + j] : 0.0;
            y[j] = real ? dy[start + j] : 0.0;
            z[j] = real ? dz[start + j] : 0.0;
            r2[j] = x[j] * x[j] + y[j] * y[j] + z[j] * z[j];
        }
        fill_harmonics(basis, n, x, y, z, rows);
        for_columns(basis.n_pad, [&](auto tile, int k) {
            using T = decltype(tile);
            constexpr int width = T::NV * lanes<typename T::V>;
            constexpr bool rough = Exp2<typename T::V, false>::degree < Exp2<typename T::V, true>::degree;
            const auto fill = basis.deep || (rough && basis.cancelling)
                                  ? fill_gaussians<typename T::V, T::NV, true>
                                  : fill_gaussians<typename T::V, T::NV, false>;
            for (int l = 0; l <= basis.l_max; ++l) {
                fill(n, basis.exponents + l * basis.n_pad + k, r2, gaussians);
                product_in_parts<typename T::V, T::NV, T::M, block_size, 1, true>(
                    2 * l + 1, n, rows + l * l * block_size, gaussians, width, density + l * l * row_size + k);
            }
        });
    }
}

// -------------------------------------------------------------------------------- power spectrum

#if defined(__AVX2__)
typedef V4 Quad;  // divides every n_pad
#else
typedef V2 Quad;
#endif

// out[n] for n >= first, the off-diagonal ones times the square root of 2.
inline double* write_row(const double* row, int first, int n_max, bool same, double* out,
                         const double* end) {
    const double factor = same ? 1.4142135623730951 : 1.0;
    const int n = n_max - first;
    if (end - out >= row_size) {  // whole registers: what they write too much is overwritten later
        for (int i = 0; i < n; i += lanes<Wide>) store(out + i, load<Wide>(row + first + i) * factor);
    } else {
        for (int i = 0; i < n; ++i) out[i] = row[first + i] * factor;
    }
    if (same) out[0] = row[first];
    return out + n;
}

void contract(const Basis& basis, double* density, double* scratch, double* spectrum) {
    const int n_max = basis.n_max, n_pad = basis.n_pad, n_species = basis.n_species;
    const int n_harmonics = (basis.l_max + 1) * (basis.l_max + 1);
    // over the Gaussians: c[lm, n] = sum_k density[lm, k] weights[l, k, n]
    double* const c = scratch;
    for (int s = 0; s < n_species; ++s)
        for (int lm = 0; lm < n_harmonics; ++lm)
            for (int k = 0; k < n_pad; k += lanes<Quad>) {
                double* row = density + (s * n_harmonics + lm) * row_size + k;
                store(row, load<Quad>(row) * basis.norms[lm]);
            }
    for_columns(n_pad, [&](auto tile, int n) {
        using T = decltype(tile);
        for (int s = 0; s < n_species; ++s)
            for (int l = 0; l <= basis.l_max; ++l) {
                const int first = (s * n_harmonics + l * l) * row_size;
                product_in_parts<typename T::V, T::NV, (T::M < 8 ? T::M : 8), row_size, 1, false>(
                    2 * l + 1, n_max, density + first, basis.weights + l * n_max * n_pad + n, n_pad,
                    c + first + n);
            }
    });
    // over m: p[l, n, n'] = sum_m c[lm, n] c'[lm, n'], for all l before any is read again: a load
    // that is not one whole store of a moment ago has to wait
    double* const p = c + n_species * n_harmonics * row_size;
    const int n_radial = n_species * n_max;
    const double* const end = spectrum + n_radial * (n_radial + 1) / 2 * (basis.l_max + 1);
    for (int s = 0; s < n_species; ++s)
        for (int t = s; t < n_species; ++t) {
            for (int l = 0; l <= basis.l_max; ++l)
                for_columns(n_pad, [&](auto tile, int n) {
                    using T = decltype(tile);
                    product_in_parts<typename T::V, T::NV, (T::M < 8 ? T::M : 8), 1, row_size, false>(
                        n_max, 2 * l + 1, c + (s * n_harmonics + l * l) * row_size,
                        c + (t * n_harmonics + l * l) * row_size + n, row_size,
                        p + l * n_max * row_size + n);
                });
            for (int l = 0; l <= basis.l_max; ++l)
                for (int n = 0; n < n_max; ++n)
                    spectrum = write_row(p + (l * n_max + n) * row_size, s == t ? n : 0, n_max, s == t,
                                         spectrum, end);
        }
}

}  // namespace STRDYN_ISA
