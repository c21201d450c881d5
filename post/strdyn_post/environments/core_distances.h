// Core distances: how far the n-th nearest row is.
#pragma once

#include "pairs.h"

// Squared distances of the rows of one leaf to their n-th nearest rows, themselves counted.
//
// Each row counts its neighbors in shells, 16 for each factor of two in the squared distance. The shell
// that holds the n-th nearest is known at any time. Only this shell is sorted, at the end.
class CoreDistances {
public:
    CoreDistances(const KdTree& tree, Index n_nearest)
        : tree_(tree), n_nearest_(n_nearest), room_(3 * n_nearest + width), kept_(std::size_t(width) * room_),
          counts_(std::size_t(width) * n_shells) {}

    void find(Index leaf, double* core) {
        leaf_ = leaf;
        const Index n = tree_.filled(leaf);
        start(tree_.extent_around(leaf, n_nearest_));
        std::fill(bounds_.begin() + n, bounds_.end(), -1.0f);
        tree_.outwards(leaf, *this);
        for (Index row = 0; row < n; ++row) core[row] = nth(row);
    }

    bool near(Index id, float distance) const {
        return distance <= farthest_ &&
               code.in_reach({tree_.leaf(leaf_), bounds_.data(), nullptr, tree_.box(id), tree_.n_dims});
    }

    void visit(Index other, Index id) {
        const int n = code.near_pairs({tree_.leaf(leaf_), bounds_.data(), tree_.leaf(other), tree_.box(id), tree_.n_dims}, pairs_.data());
        for (int k = 0; k < n; ++k) {
            const Index row = pairs_[k] / width;
            const double distance = tree_.distance(leaf_ * width + row, other * width + pairs_[k] % width);
            if (distance < rows_[row].bound) keep(row, distance);
        }
        if (n) farthest_ = *std::max_element(bounds_.begin(), bounds_.end());
    }

private:
    static constexpr Index n_shells = 256;
    static constexpr int shift = 48;  // of the bits of a double: 16 shells for each power of two

    struct Row {
        double bound;  // of the outermost shell that counts
        Index shell, n_inside, n_kept;
    };

    const KdTree& tree_;
    const Index n_nearest_, room_;
    std::vector<double> kept_;   // squared distances, of each row
    std::vector<Index> counts_;  // of the shells of each row
    std::array<Row, width> rows_;
    std::array<float, width> bounds_;
    Pairs pairs_;
    float farthest_ = 0.0f;
    Index leaf_ = 0;
    std::int64_t innermost_ = 0;

    // All rows have their n-th neighbor within the squared distance `most`.
    void start(double most) {
        std::fill(counts_.begin(), counts_.end(), 0);
        innermost_ = key(most) - (n_shells - 1);
        rows_.fill({edge(n_shells - 1), n_shells - 1, 0, 0});
        bounds_.fill(tree_.above(most));
        farthest_ = bounds_[0];
    }

    static std::int64_t key(double distance) {
        std::int64_t bits;
        std::memcpy(&bits, &distance, sizeof bits);
        return bits >> shift;
    }

    Index shell_of(double distance) const { return Index(std::max<std::int64_t>(0, key(distance) - innermost_)); }

    double edge(Index shell) const {
        const std::int64_t bits = (innermost_ + shell + 1) << shift;
        double distance;
        std::memcpy(&distance, &bits, sizeof bits);
        return distance;
    }

    void keep(Index index, double distance) {
        Row& row = rows_[index];
        Index* counts = counts_.data() + index * n_shells;
        kept_[std::size_t(index) * room_ + row.n_kept++] = distance;
        ++counts[shell_of(distance)];
        ++row.n_inside;
        if (row.n_inside - counts[row.shell] >= n_nearest_) {
            do row.n_inside -= counts[row.shell--];
            while (row.n_inside - counts[row.shell] >= n_nearest_);
            row.bound = edge(row.shell);
            bounds_[index] = tree_.above(row.bound);
        }
        if (row.n_kept == room_) make_room(index);
    }

    void make_room(Index index) {
        Row& row = rows_[index];
        double* first = kept_.data() + std::size_t(index) * room_;
        row.n_kept = Index(std::remove_if(first, first + row.n_kept, [&](double d) { return shell_of(d) > row.shell; }) - first);
        if (row.n_kept < room_ / 2) return;
        std::nth_element(first, first + n_nearest_ - 1, first + row.n_kept);  // many equal ones
        row.bound = first[n_nearest_ - 1];
        bounds_[index] = row.bound > 0.0 ? tree_.above(row.bound) : -1.0f;  // no other row is nearer than 0
        counts_[index * n_shells + row.shell] -= row.n_inside - n_nearest_;
        row.n_kept = row.n_inside = n_nearest_;
    }

    double nth(Index index) {
        const Row& row = rows_[index];
        double* first = kept_.data() + std::size_t(index) * room_;
        double* end = std::remove_if(first, first + row.n_kept, [&](double d) { return shell_of(d) != row.shell; });
        double* wanted = first + (n_nearest_ - 1 - (row.n_inside - counts_[index * n_shells + row.shell]));
        std::nth_element(first, wanted, end);
        return *wanted;
    }
};
