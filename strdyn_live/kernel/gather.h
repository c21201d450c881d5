// Who is around one center, and the list of their IDs. Compiled once per instruction set.
#pragma once

#include "isa.h"
#include "simd.h"

namespace STRDYN_ISA {

using strdyn::Found;
using strdyn::Points;
using strdyn::Range;

inline void search_one(const Points& points, int i, const double center[3], double reach_squared,
                       double near_squared, Found& found) {
    const double dx = points.x[i] - center[0];
    const double dy = points.y[i] - center[1];
    const double dz = points.z[i] - center[2];
    const double d2 = dx * dx + dy * dy + dz * dz;
    found.dx[found.n_within] = dx;
    found.dy[found.n_within] = dy;
    found.dz[found.n_within] = dz;
    found.n_within += d2 <= reach_squared;
    found.near[found.n_near] = i;
    found.n_near += d2 < near_squared;
    found.n_coincident += d2 == 0.0;
}

void search(const Points& points, const Range* ranges, int n_ranges, const double center[3],
            double reach_squared, double near_squared, Found& found) {
#if defined(__AVX512F__)
    const V8 x0 = broadcast<V8>(center[0]);
    const V8 y0 = broadcast<V8>(center[1]);
    const V8 z0 = broadcast<V8>(center[2]);
    const __m512d reach2 = _mm512_set1_pd(reach_squared);
    const __m512d near2 = _mm512_set1_pd(near_squared);
    const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int n_within = found.n_within, n_near = found.n_near, n_coincident = found.n_coincident;
    for (int k = 0; k < n_ranges; ++k) {
        for (int i = ranges[k].begin; i < ranges[k].end; i += 8) {
            const int left = ranges[k].end - i;
            const __mmask8 valid = left < 8 ? (1u << left) - 1u : 0xffu;
            const V8 dx = _mm512_maskz_loadu_pd(valid, points.x + i) - x0;
            const V8 dy = _mm512_maskz_loadu_pd(valid, points.y + i) - y0;
            const V8 dz = _mm512_maskz_loadu_pd(valid, points.z + i) - z0;
            const V8 d2 = dx * dx + dy * dy + dz * dz;
            const __mmask8 within = _mm512_mask_cmp_pd_mask(valid, d2, reach2, _CMP_LE_OQ);
            const __mmask8 near = _mm512_mask_cmp_pd_mask(valid, d2, near2, _CMP_LT_OQ);
            const __mmask8 zero = _mm512_mask_cmp_pd_mask(valid, d2, _mm512_setzero_pd(), _CMP_EQ_OQ);
            _mm512_storeu_pd(found.dx + n_within, _mm512_maskz_compress_pd(within, dx));
            _mm512_storeu_pd(found.dy + n_within, _mm512_maskz_compress_pd(within, dy));
            _mm512_storeu_pd(found.dz + n_within, _mm512_maskz_compress_pd(within, dz));
            n_within += __builtin_popcount(within);
            const __m256i rows = _mm256_add_epi32(iota, _mm256_set1_epi32(i));
            _mm256_storeu_si256((__m256i*)(found.near + n_near), _mm256_maskz_compress_epi32(near, rows));
            n_near += __builtin_popcount(near);
            n_coincident += __builtin_popcount(zero);
        }
    }
    found.n_within = n_within;
    found.n_near = n_near;
    found.n_coincident = n_coincident;
#else
    for (int k = 0; k < n_ranges; ++k)
        for (int i = ranges[k].begin; i < ranges[k].end; ++i)
            search_one(points, i, center, reach_squared, near_squared, found);
#endif
}

// Sorts up to max_small_list IDs and drops repetitions; returns how many are left, or -1 if they do
// not lie within 2^31 of each other. The place of an ID is the number of smaller ones: counting them
// all takes n^2 steps without a branch, far less time than a sort for lists of usual length.
int sort_small_list(std::int64_t* ids, int n) {
    typedef int Ints __attribute__((vector_size(sizeof(Wide))));
    constexpr int width = sizeof(Ints) / sizeof(int);
    std::int64_t lowest = ids[0], highest = ids[0];
    for (int i = 1; i < n; ++i) {
        lowest = ids[i] < lowest ? ids[i] : lowest;
        highest = ids[i] > highest ? ids[i] : highest;
    }
    if (static_cast<std::uint64_t>(highest) - static_cast<std::uint64_t>(lowest) > 0x7ffffffe) return -1;
    int keys[strdyn::max_small_list + width], sorted[strdyn::max_small_list + width];
    for (int i = 0; i < n; ++i) keys[i] = static_cast<int>(ids[i] - lowest);
    for (int i = n; i % width; ++i) keys[i] = 0;
    for (int i = 0; i < n; ++i) sorted[i] = -1;
    for (int start = 0; start < n; start += width) {
        Ints mine, place = {};
        __builtin_memcpy(&mine, keys + start, sizeof mine);
        for (int i = 0; i < n; ++i) place -= (Ints)(keys[i] < mine);  // true is -1
        for (int i = 0; i < width && start + i < n; ++i) sorted[place[i]] = keys[start + i];
    }
    int kept = 0;
    for (int i = 0; i < n; ++i) {
        ids[kept] = lowest + sorted[i];
        kept += sorted[i] >= 0;
    }
    return kept;
}

}  // namespace STRDYN_ISA
