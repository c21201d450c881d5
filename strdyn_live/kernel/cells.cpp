#include "cells.h"

#include <algorithm>
#include <cmath>

namespace strdyn {

namespace {

constexpr int side = 2 * Cells::reach_cells + 1;
constexpr Cells::Key mask = (Cells::Key{1} << Cells::bits) - 1;

}  // namespace

Cells::Cells(const Atoms& atoms, int n_species, double radius)
    : radius_(radius), n_species_(n_species) {
    const std::size_t count = static_cast<std::size_t>(atoms.count);
    std::array<double, 3> high{};
    for (int axis = 0; axis < 3; ++axis) {
        origin_[axis] = high[axis] = count ? atoms.positions[axis] : 0.0;
        for (std::size_t i = 1; i < count; ++i) {
            const double x = atoms.positions[3 * i + axis];
            origin_[axis] = std::min(origin_[axis], x);
            high[axis] = std::max(high[axis], x);
        }
    }
    double extent = 0.0;
    for (int axis = 0; axis < 3; ++axis) extent = std::max(extent, high[axis] - origin_[axis]);
    // a little more than half the radius, so that rounding moves no atom out of the 5 cells
    edge_ = std::max(radius / reach_cells * (1.0 + 1e-6), extent / (mask - 2 * reach_cells));

    std::vector<std::pair<Key, std::int32_t>> order(count);
    for (std::size_t i = 0; i < count; ++i) {
        const Key species = atoms.species ? static_cast<Key>(atoms.species[i]) : 0;
        order[i] = {species << (3 * bits) | key(atoms.positions + 3 * i),
                    static_cast<std::int32_t>(i)};
    }
    std::sort(order.begin(), order.end());

    x_.resize(count);
    y_.resize(count);
    z_.resize(count);
    rows_.resize(count);
    std::size_t n_cells = 0;
    for (std::size_t i = 0; i < count; ++i) n_cells += i == 0 || order[i].first != order[i - 1].first;
    keys_.reserve(n_cells);
    starts_.reserve(n_cells + 1);
    for (std::size_t i = 0; i < count; ++i) {
        const std::int32_t row = order[i].second;
        const double* position = atoms.positions + 3 * static_cast<std::size_t>(row);
        rows_[i] = row;
        x_[i] = position[0];
        y_[i] = position[1];
        z_[i] = position[2];
        if (i == 0 || order[i].first != order[i - 1].first) {
            keys_.push_back(order[i].first);
            starts_.push_back(static_cast<std::int32_t>(i));
        }
    }
    starts_.push_back(static_cast<std::int32_t>(count));
}

Cells::Key Cells::key(const double position[3]) const {
    Key key = 0;
    for (int axis = 2; axis >= 0; --axis) {
        // at least reach_cells, so that the neighbors of a cell have an index as well
        const double cell = (position[axis] - origin_[axis]) / edge_;
        key = key << bits | (static_cast<Key>(cell) + reach_cells);
    }
    return key;
}

Search::Search(const Cells& cells)
    : cells_(cells),
      cursors_(static_cast<std::size_t>(cells.n_species_) * side * side, 0),
      rows_(cells.n_species_),
      ranges_(cells.n_species_) {}

// First occupied cell at or after `key`: steps that double from the last place, then bisection.
std::size_t Search::seek(std::size_t from, Cells::Key key) const {
    const auto& keys = cells_.keys_;
    if (from > 0 && keys[from - 1] >= key) from = 0;
    std::size_t step = 1;
    while (from + step <= keys.size() && keys[from + step - 1] < key) {
        from += step;
        step *= 2;
    }
    const std::size_t last = std::min(from + step, keys.size());
    return std::lower_bound(keys.begin() + from, keys.begin() + last, key) - keys.begin();
}

void Search::move_to(const double center[3]) {
    constexpr int r = Cells::reach_cells;
    const Cells::Key key = cells_.key(center);
    const int iy = static_cast<int>(key >> Cells::bits & mask) - r;
    const int iz = static_cast<int>(key >> 2 * Cells::bits & mask) - r;
    if (key != key_) {
        key_ = key;
        for (int species = 0; species < cells_.n_species_; ++species) {
            rows_[species].clear();
            std::size_t* cursor = cursors_.data() + static_cast<std::size_t>(species) * side * side;
            for (int dz = -r; dz <= r; ++dz)
                for (int dy = -r; dy <= r; ++dy, ++cursor) {
                    const Cells::Key middle = (static_cast<Cells::Key>(species) << 3 * Cells::bits) +
                                              key + static_cast<Cells::Key>(
                                                  (static_cast<std::int64_t>(dz) * (1 << Cells::bits) + dy) *
                                                  (1 << Cells::bits));
                    std::size_t cell = *cursor = seek(*cursor, middle - r);
                    const std::size_t first = cell;
                    while (cell < cells_.keys_.size() && cells_.keys_[cell] <= middle + r) ++cell;
                    if (cell > first)
                        rows_[species].push_back({dy, dz, {cells_.starts_[first], cells_.starts_[cell]}});
                }
        }
    }
    // leave out the rows that lie out of the radius from this center
    double gap_y[side], gap_z[side];
    const double y = (center[1] - cells_.origin_[1]) / cells_.edge_ - iy;
    const double z = (center[2] - cells_.origin_[2]) / cells_.edge_ - iz;
    for (int d = -r; d <= r; ++d) {
        const double dy = std::max({0.0, d - y, y - (d + 1)});
        const double dz = std::max({0.0, d - z, z - (d + 1)});
        gap_y[d + r] = dy * dy;
        gap_z[d + r] = dz * dz;
    }
    const double limit = std::pow(cells_.radius_ / cells_.edge_, 2) * (1.0 + 1e-6);
    for (int species = 0; species < cells_.n_species_; ++species) {
        ranges_[species].clear();
        for (const Row& row : rows_[species])
            if (gap_y[row.dy + r] + gap_z[row.dz + r] <= limit) ranges_[species].push_back(row.atoms);
    }
}

}  // namespace strdyn
