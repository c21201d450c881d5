// Boruvka's method: every component but the largest takes its lightest edge to another one, until one
// component is left. Where edges are equally heavy, threads may find another spanning tree, of the same
// components below every weight.
#pragma once

#include <memory>

#include "pairs.h"

// The lightest edge found so far that leaves a component.
struct Lightest {
    std::atomic<double> weight{infinity};
    Index from = -1, to = -1;
};

// Components of rows, joined round by round.
struct Components {
    const KdTree& tree;
    const std::vector<double>& core;      // squared core distances
    std::vector<double> reach;            // no edge of a row to another component is lighter than this
    std::vector<float> floor;             // core distances, rounded down
    std::vector<Index> of;                // component of each row
    std::vector<Index> of_node;           // component of each node of the tree; -1: several
    std::vector<float> floor_of_node;
    Index largest = -1;

    Components(const KdTree& tree_, const std::vector<double>& core_)
        : tree(tree_), core(core_), reach(core), floor(std::size_t(tree.n_leaves) * width),
          of(floor.size(), -1), of_node(tree.n_nodes()), floor_of_node(tree.n_nodes()), parent_(tree.n_rows),
          lightest_(nullptr) {
        for (Index i = 0; i < tree.n_rows; ++i) {
            floor[i] = std::nextafter(float(core[i]), 0.0f);
            of[i] = parent_[i] = i;
        }
        fill(tree.root());
    }

    // Join the components of two rows; false if they are one already.
    bool join(Index a, Index b) {
        const Index first = top(a), second = top(b);
        parent_[std::max(first, second)] = std::min(first, second);
        return first != second;
    }

    // Number the components, and forget the lightest edges.
    Index renumber() {
        Index n = 0;
        for (Index i = 0; i < tree.n_rows; ++i)
            if (parent_[i] == i) of[i] = n++;
        std::vector<Index> sizes(n);
        for (Index i = 0; i < tree.n_rows; ++i) ++sizes[of[i] = of[top(i)]];
        largest = Index(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
        fill(tree.root());
        lightest_ = std::make_unique<Lightest[]>(n);
        return n;
    }

    const Lightest& lightest(Index component) const { return lightest_[component]; }

    // Tell both components of an edge; called by all threads.
    void offer(double weight, Index a, Index b) {
        keep_lighter(of[a], weight, a, b);
        keep_lighter(of[b], weight, b, a);
    }

private:
    std::vector<Index> parent_;
    std::unique_ptr<Lightest[]> lightest_;
    std::array<std::mutex, 64> guards_;

    Index top(Index i) {
        while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
        return i;
    }

    void keep_lighter(Index component, double weight, Index from, Index to) {
        Lightest& known = lightest_[component];
        if (weight >= known.weight.load(std::memory_order_relaxed)) return;
        const std::lock_guard lock(guards_[component % guards_.size()]);
        if (weight >= known.weight.load(std::memory_order_relaxed)) return;
        known.from = from;
        known.to = to;
        known.weight.store(weight, std::memory_order_relaxed);
    }

    void fill(Node node) {
        if (node.count == 1) {
            const Index first = node.first * width, end = first + tree.filled(node.first), one = of[first];
            floor_of_node[node.id] = *std::min_element(floor.begin() + first, floor.begin() + end);
            const bool same = std::all_of(of.begin() + first, of.begin() + end, [&](Index c) { return c == one; });
            of_node[node.id] = same ? one : -1;
            return;
        }
        const Index left = node.left().id, right = node.right().id;
        fill(node.left());
        fill(node.right());
        floor_of_node[node.id] = std::min(floor_of_node[left], floor_of_node[right]);
        of_node[node.id] = of_node[left] == of_node[right] ? of_node[left] : -1;
    }
};

// The search from the rows of one leaf.
class EdgeSearch {
public:
    explicit EdgeSearch(Components& all) : all_(&all), tree_(&all.tree) {}

    // Find for each row one that is at least as dense, within its core distance.
    void denser(Index leaf, Index* next) {
        next_ = next;
        start(leaf);
        for (Index row = 0; row < n_; ++row) bounds_[row] = tree_->above(all_->core[first_ + row]);
        finish_bounds();
        tree_->outwards(leaf, *this);
        next_ = nullptr;
    }

    // Compare the rows of a leaf with each other, for first bounds.
    void within(Index leaf) {
        start(leaf);
        if (choose_rows()) visit(leaf, tree_->node_of(leaf).id);
    }

    // Find lighter edges than those known.
    void around(Index leaf) {
        start(leaf);
        if (!choose_rows()) return;
        tree_->outwards(leaf, *this);
        for (Index row = 0; row < n_; ++row)
            if (taken_[row]) all_->reach[first_ + row] = std::max(all_->reach[first_ + row], limit(row));
    }

    bool near(Index id, float distance) const {
        return distance <= farthest_ && all_->floor_of_node[id] <= farthest_ &&
               (only_ < 0 || all_->of_node[id] != only_);
    }

    void visit(Index other, Index id) {
        if (!near(id, 0.0f)) return;
        const Index start = other * width;
        const int n = code.leaving_pairs({tree_->leaf(leaf_), bounds_.data(), tree_->leaf(other), tree_->box(id), tree_->n_dims,
                                     all_->of.data() + first_, all_->floor.data() + start,
                                     all_->of.data() + start}, pairs_.data());
        for (int k = 0; k < n; ++k) {
            const Index row = pairs_[k] / width, from = first_ + row, to = start + pairs_[k] % width;
            if (bounds_[row] < 0.0f) continue;
            const double core = all_->core[from];
            if (next_) {
                if (all_->core[to] > core || tree_->distance(from, to) > core) continue;
                next_[from] = to;
                bounds_[row] = -1.0f;
                continue;
            }
            const double weight = std::max({core, all_->core[to], tree_->distance(from, to)});
            all_->offer(weight, from, to);
            // no other edge of this row can be lighter
            if (limit(row) <= all_->reach[from]) bounds_[row] = -1.0f;
        }
        if (n) finish_bounds();
    }

private:
    Components* all_;
    const KdTree* tree_;
    Index* next_ = nullptr;
    Index leaf_ = 0, first_ = 0, n_ = 0, only_ = -1;
    std::array<float, width> bounds_{};
    std::array<bool, width> taken_{};
    float farthest_ = -1.0f;
    Pairs pairs_;

    double limit(Index row) const {
        return all_->lightest(all_->of[first_ + row]).weight.load(std::memory_order_relaxed);
    }

    void start(Index leaf) {
        leaf_ = leaf;
        first_ = leaf * width;
        n_ = tree_->filled(leaf);
        bounds_.fill(-1.0f);
        taken_.fill(false);
        only_ = -1;
    }

    // Take the rows that may have a lighter edge; whether there are some.
    bool choose_rows() {
        bool some = false, several = false;
        for (Index row = 0; row < n_; ++row) {
            const Index component = all_->of[first_ + row];
            taken_[row] = component != all_->largest && all_->reach[first_ + row] < limit(row);
            if (!taken_[row]) continue;
            bounds_[row] = 0.0f;
            several |= some && component != only_;
            only_ = component;
            some = true;
        }
        if (several) only_ = -1;
        if (some) finish_bounds();
        return some;
    }

    void finish_bounds() {
        if (!next_)
            for (Index row = 0; row < n_; ++row)
                if (bounds_[row] >= 0.0f) bounds_[row] = tree_->above(limit(row));
        farthest_ = *std::max_element(bounds_.begin(), bounds_.end());
    }
};

// Boruvka's method.
class SpanningTree {
public:
    std::vector<Index> ends;      // of each edge
    std::vector<double> weights;  // squared

    SpanningTree(const KdTree& tree, const std::vector<double>& core, int n_threads)
        : tree_(tree), all_(tree, core), n_threads_(n_threads) {
        ends.reserve(2 * std::size_t(tree.n_rows) - 2);
        weights.reserve(tree.n_rows - 1);
        descend();
        for (Index n; (n = all_.renumber()) > 1;) {
            each_leaf([&](EdgeSearch& search, Index leaf) { search.within(leaf); });
            each_leaf([&](EdgeSearch& search, Index leaf) { search.around(leaf); });
            for (Index k = 0; k < n; ++k) {
                const Lightest& edge = all_.lightest(k);
                if (k != all_.largest) add(edge.from, edge.to, edge.weight);
            }
        }
    }

private:
    const KdTree& tree_;
    Components all_;
    const int n_threads_;

    template <class Work> void each_leaf(const Work& work) {
        std::vector<EdgeSearch> searches(n_threads_, EdgeSearch(all_));
        constexpr Index block = 64;
        in_parallel((tree_.n_leaves - 1) / block + 1, n_threads_, [&](int thread, Index k) {
            for (Index leaf = k * block; leaf < std::min(tree_.n_leaves, (k + 1) * block); ++leaf)
                work(searches[thread], leaf);
        });
    }

    void add(Index a, Index b, double weight) {
        if (!all_.join(a, b)) return;
        ends.insert(ends.end(), {tree_.order[a], tree_.order[b]});
        weights.push_back(weight);
    }

    // The first round. No edge of a row is lighter than its core distance, so an edge of this weight
    // to a row that is at least as dense is a lightest one. Rows without one wait for the next round.
    void descend() {
        std::vector<Index> next(tree_.n_rows, -1);
        each_leaf([&](EdgeSearch& search, Index leaf) { search.denser(leaf, next.data()); });
        for (Index i = 0; i < tree_.n_rows; ++i) {
            if (next[i] >= 0) add(i, next[i], all_.core[i]);
            else all_.reach[i] = std::nextafter(all_.core[i], infinity);
        }
    }
};
