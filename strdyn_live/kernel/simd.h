// Registers of doubles, and the little that the compiler's vector extensions lack.
//
// This header, gather.h and spectrum.h are compiled once for every instruction set (isa_*.cpp), in a
// namespace of its own each time. They use nothing of the standard library: an inline function shared
// between the copies could be linked from the widest one and stop an older processor.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace STRDYN_ISA {

typedef double V2 __attribute__((vector_size(16)));
typedef double V4 __attribute__((vector_size(32)));
typedef double V8 __attribute__((vector_size(64)));

template <class V> constexpr int lanes = sizeof(V) / sizeof(double);

template <class V> inline V load(const double* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class V> inline void store(double* p, V v) { __builtin_memcpy(p, &v, sizeof v); }

template <class V> inline V broadcast(double x) { return x - V{}; }

// a * b + c, in one rounding where the instruction set has it. The files are compiled with
// -ffp-contract=off: distances must round as DScribe's do, sums need not.
#if defined(__aarch64__)
inline V2 fma(V2 a, V2 b, V2 c) { return (V2)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
#else
inline V2 fma(V2 a, V2 b, V2 c) { return a * b + c; }
#endif
#if defined(__FMA__)
inline V4 fma(V4 a, V4 b, V4 c) { return _mm256_fmadd_pd(a, b, c); }
#endif
#if defined(__AVX512F__)
inline V8 fma(V8 a, V8 b, V8 c) { return _mm512_fmadd_pd(a, b, c); }
#endif

template <class V> struct Integers;
template <> struct Integers<V2> { typedef long long type __attribute__((vector_size(16))); };
template <> struct Integers<V4> { typedef long long type __attribute__((vector_size(32))); };
template <> struct Integers<V8> { typedef long long type __attribute__((vector_size(64))); };

// 2^f for |f| <= 1 / (2 steps), a polynomial through Chebyshev nodes, and what remains of 2^x.
template <class V, bool Careful> struct Exp2 {
    static constexpr int steps = 1, degree = 10;
    static constexpr double polynomial[] = {  // to 3e-16
        1.0, 0.69314718055994995, 0.24022650695910097, 0.055504108664447722, 0.0096181291076068882,
        0.0013333558230164974, 0.0001540353044173605, 1.5252657260200837e-05, 1.3215442587921689e-06,
        1.0208690299958306e-07, 7.0725859492692242e-09};
    // p 2^n, with n in the low bits of t
    static V scale(V p, V t) {
        typedef typename Integers<V>::type L;
        return (V)((L)p + ((L)t << 52));
    }
};

#if defined(__AVX512F__)
template <bool Careful> struct Exp2<V8, Careful> {
    static constexpr int steps = 16, degree = Careful ? 6 : 5;
    static constexpr double polynomials[2][7] = {
        {1.0000000000000044, 0.69314718055994573, 0.24022650687646874, 0.055504108656639302,
         0.0096183547474075377, 0.0013333781576784268},  // to 5e-15
        {1.0, 0.69314718055994684, 0.24022650695910086, 0.055504108652093571, 0.0096181291065256822,
         0.0013333818815389241, 0.00015403756245457711}};  // to 8e-18
    static constexpr const double* polynomial = polynomials[Careful];
    // p 2^(n + j / 16), with 16 n + j in the low bits of t: 2^(j / 16) from a table in two registers
    static V8 scale(V8 p, V8 t) {
        typedef typename Integers<V8>::type L;
        const V8 first = {1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916,
                          1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927};
        const V8 second = {1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
                           1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474};
        // shifted up, t adds n to the exponent and j to the mantissa; the table has that j taken off
        const L j = {0, 1, 2, 3, 4, 5, 6, 7};
        const L low = (L)first - (j << 48), high = (L)second - ((j + 8) << 48);
        const L root = (L)_mm512_permutex2var_epi64((__m512i)low, (__m512i)t, (__m512i)high);
        return p * (V8)(root + ((L)t << 48));
    }
};
#endif

// x[i] = 2^(a[i mod NA] x[i]), to a few 1e-15, for products between -1000 and 0. If Careful to a few
// units of the last place and for all products <= 0: those under -1000 come out about as small, not
// exact. N at a time, step by step: one alone would wait for the result of every step. Additions, not
// multiply-adds, where there is a choice: processors that add elsewhere than they multiply do both
// at once.
template <class V, int NA, int N, bool Careful> inline void exp2_of_products(const V* a, V* x) {
    using E = Exp2<V, Careful>;
    const V magic = broadcast<V>(6755399441055744.0 / E::steps);  // adding 1.5 * 2^52 rounds to integers
    V t[N], p[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        x[i] = a[i % NA] * x[i];
        if (Careful) x[i] = x[i] > broadcast<V>(-1000.0) ? x[i] : broadcast<V>(-1000.0);
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) t[i] = x[i] + magic;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) x[i] = x[i] - (t[i] - magic);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) p[i] = broadcast<V>(E::polynomial[E::degree]);
#pragma GCC unroll 16
    for (int d = E::degree - 1; d >= 0; --d)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) p[i] = fma(p[i], x[i], broadcast<V>(E::polynomial[d]));
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) x[i] = E::scale(p[i], t[i]);
}

// The widest register of the instruction set.
#if defined(__AVX512F__)
typedef V8 Wide;
#elif defined(__AVX2__)
typedef V4 Wide;
#else
typedef V2 Wide;
#endif

}  // namespace STRDYN_ISA
