// The pairs of rows of two leaves that may be near enough, in single precision.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "kd_tree.h"

constexpr Index width = KdTree::width;
constexpr double infinity = std::numeric_limits<double>::infinity();

#define INLINE inline __attribute__((always_inline))

template <int n> struct Registers {
    typedef float Lanes __attribute__((vector_size(4 * n)));
    typedef Index Flags __attribute__((vector_size(4 * n)));
    static constexpr int lanes = n, parts = width / n;
};

template <class V, class T> INLINE void load(V& to, const T* from) { std::memcpy(&to, from, sizeof to); }

template <class Flags> INLINE bool some_is_set(const Flags& flags) {
    std::uint64_t words[sizeof flags / 8], all = 0;
    std::memcpy(words, &flags, sizeof flags);
    for (const std::uint64_t word : words) all |= word;
    return all != 0;
}

// Pairs of a row of one leaf and a row of another one that may be nearer than the bound of the first:
// row * width + other row. A row with a negative bound takes no part. With `floors` and `components`,
// the core distance of the other row must be within the bound, too, and its component another one.
struct Leaves {
    const float *rows, *bounds, *others, *box;
    int n_dims;
    const Index* own = nullptr;
    const float* floors = nullptr;
    const Index* components = nullptr;
};

// Whether the bound of some row reaches the box of the other leaf, or of any node; flags of these rows.
template <class R> INLINE bool rows_within_reach(const Leaves& leaves, Index* reached) {
    typedef typename R::Lanes Lanes;
    typename R::Flags any = {};
    for (int part = 0; part < width; part += R::lanes) {
        Lanes sum = {}, bounds;
        load(bounds, leaves.bounds + part);
        for (int j = 0; j < leaves.n_dims; ++j) {
            Lanes x;
            load(x, leaves.rows + j * width + part);
            const Lanes under = leaves.box[j] - x, over = x - leaves.box[leaves.n_dims + j];
            Lanes apart = under > over ? under : over;
            apart = apart > 0.0f ? apart : Lanes{};
            sum += apart * apart;
        }
        const typename R::Flags near = sum <= bounds;
        any |= near;
        std::memcpy(reached + part, &near, sizeof near);
    }
    return some_is_set(any);
}

template <class R, bool with_components> INLINE int pairs_of(const Leaves& leaves, std::uint16_t* pairs) {
    typedef typename R::Lanes Lanes;
    typedef typename R::Flags Flags;
    alignas(32) Index reached[width];
    if (!rows_within_reach<R>(leaves, reached)) return 0;
    int n = 0;
    for (Index row = 0; row < width; ++row) {
        if (!reached[row]) continue;
        Lanes sums[R::parts] = {};
        for (int j = 0; j < leaves.n_dims; ++j) {
            const Lanes x = leaves.rows[j * width + row] - Lanes{};
            for (int part = 0; part < R::parts; ++part) {
                Lanes apart;
                load(apart, leaves.others + j * width + part * R::lanes);
                apart -= x;
                sums[part] += apart * apart;
            }
        }
        alignas(32) Index inside[width];
        Flags any = {};
        const Lanes bound = leaves.bounds[row] - Lanes{};
        for (int part = 0; part < R::parts; ++part) {
            Flags within;
            if (with_components) {
                Lanes floors;
                Flags components;
                load(floors, leaves.floors + part * R::lanes);
                load(components, leaves.components + part * R::lanes);
                const Lanes most = floors > sums[part] ? floors : sums[part];  // NaN stays
                within = (most <= bound) & (components != leaves.own[row]);
            } else {
                within = sums[part] <= bound;
            }
            any |= within;
            std::memcpy(inside + part * R::lanes, &within, sizeof within);
        }
        if (!some_is_set(any)) continue;
        for (Index other = 0; other < width; ++other) {
            pairs[n] = std::uint16_t(row * width + other);
            n -= inside[other];  // a true flag is -1
        }
    }
    return n;
}

template <class R> INLINE bool is_in_reach(const Leaves& leaves) {
    alignas(32) Index reached[width];
    return rows_within_reach<R>(leaves, reached);
}

// One code for each instruction set, chosen when the module is loaded. AVX-512 is not faster here.
struct Code {
    bool (*in_reach)(const Leaves&);
    int (*near_pairs)(const Leaves&, std::uint16_t*);
    int (*leaving_pairs)(const Leaves&, std::uint16_t*);
};

#define CODE_FOR(name, lanes, target)                                                         \
    target inline bool in_reach_##name(const Leaves& l) { return is_in_reach<Registers<lanes>>(l); } \
    target inline int near_##name(const Leaves& l, std::uint16_t* p) { return pairs_of<Registers<lanes>, false>(l, p); } \
    target inline int leaving_##name(const Leaves& l, std::uint16_t* p) { return pairs_of<Registers<lanes>, true>(l, p); } \
    constexpr Code code_##name{in_reach_##name, near_##name, leaving_##name};

CODE_FOR(baseline, 4, )
#if defined(__x86_64__)
CODE_FOR(avx2, 8, __attribute__((target("avx2"))))
#endif
#undef CODE_FOR

inline Code best_code() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return code_avx2;
#endif
    return code_baseline;
}

inline const Code code = best_code();

using Pairs = std::array<std::uint16_t, width * width + 1>;
