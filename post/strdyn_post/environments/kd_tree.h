// A balanced k-d tree of float32 rows. Leaves are blocks of 32 rows, so that one row is compared with
// all rows of a leaf at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using Index = std::int32_t;

// Call `work(thread, block)` once for every block; blocks go to the next thread that is free.
template <class Work> void in_parallel(Index n_blocks, int n_threads, const Work& work) {
    std::atomic<Index> next{0};
    std::exception_ptr error;
    std::mutex guard;
    const auto run = [&](int thread) {
        try {
            for (Index block; (block = next++) < n_blocks;) work(thread, block);
        } catch (...) {
            const std::lock_guard lock(guard);
            error = std::current_exception();
            next = n_blocks;
        }
    };
    std::vector<std::thread> threads;
    for (int t = 1; t < n_threads; ++t) {
        try {
            threads.emplace_back(run, t);
        } catch (const std::system_error&) {
            break;  // no more threads to be had
        }
    }
    run(0);
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
}

struct Node {  // leaves first .. first + count; nodes are numbered parent, left part, right part
    Index id, first, count;
    Node left() const { return {id + 1, first, count / 2}; }
    Node right() const { return {id + 2 * (count / 2), first + count / 2, count - count / 2}; }
};

class KdTree {
public:
    static constexpr Index width = 32;  // rows of a leaf

    const Index n_rows, n_leaves;
    const int n_dims;
    std::vector<Index> order;  // row at each place; the places of leaf k begin at k * width

    KdTree(const float* rows, Index n, int d, int n_threads)
        : n_rows(n), n_leaves((n - 1) / width + 1), n_dims(d), order(n),
          points_(std::size_t{1} * n_leaves * width * d, std::numeric_limits<float>::quiet_NaN()),
          boxes_((2 * std::size_t(n_leaves) - 1) * 2 * d) {
        std::copy(rows, rows + std::size_t(n) * d, points_.begin());
        std::iota(order.begin(), order.end(), Index{0});
        std::vector<Node> parts{root()};  // the upper part of the tree by one thread, then by all
        std::size_t done = 0;
        for (; done < parts.size() && parts.size() - done < std::size_t(4 * n_threads); ++done) {
            const Node node = parts[done];
            split(node);
            if (node.count > 1) parts.insert(parts.end(), {node.left(), node.right()});
        }
        in_parallel(Index(parts.size() - done), n_threads, [&](int, Index k) { build(parts[done + k]); });
        in_parallel(n_leaves, n_threads, [&](int, Index leaf) { transpose(leaf); });
    }

    Node root() const { return {0, 0, n_leaves}; }
    Index n_nodes() const { return 2 * n_leaves - 1; }
    Index filled(Index leaf) const { return std::min(width, n_rows - leaf * width); }

    // Coordinates of a leaf: all first ones, all second ones, ...; NaN where the last leaf has no rows.
    const float* leaf(Index leaf) const { return points_.data() + std::size_t(leaf) * width * n_dims; }

    // Lowest coordinates of a node, then the highest ones.
    const float* box(Index id) const { return boxes_.data() + std::size_t(id) * 2 * n_dims; }

    // Squared distance of two rows, by place. Both directions round alike.
    double distance(Index a, Index b) const {
        const float* p = leaf(a / width) + a % width;
        const float* q = leaf(b / width) + b % width;
        double sum = 0.0;
        for (int j = 0; j < n_dims; ++j) {
            const double apart = double(p[j * width]) - double(q[j * width]);
            sum += apart * apart;
        }
        return sum;
    }

    // Squared distance of the boxes of two nodes, in single precision.
    float distance_of_boxes(Index a, Index b) const {
        const float *p = box(a), *q = box(b);
        float sum = 0.0f;
        for (int j = 0; j < n_dims; ++j) {
            const float apart = std::max(0.0f, std::max(p[j] - q[n_dims + j], q[j] - p[n_dims + j]));
            sum += apart * apart;
        }
        return sum;
    }

    // A single-precision number that no squared distance up to `bound` exceeds, rounded as above.
    float above(double bound) const { return float(bound) * (1.0f + 2e-7f * float(n_dims + 8)) + 1e-37f; }

    Node node_of(Index leaf) const {
        Node node = root();
        while (node.count > 1) node = leaf < node.right().first ? node.left() : node.right();
        return node;
    }

    // Square of a diameter of some node that holds a leaf and at least `n` rows.
    double extent_around(Index leaf, Index n) const {
        Node node = root();
        while (node.count > 1) {
            const Node next = leaf < node.right().first ? node.left() : node.right();
            const auto [begin, end] = range(next);
            if (end - begin < std::size_t(n)) break;
            node = next;
        }
        const float* low = box(node.id);
        double sum = 0.0;
        for (int j = 0; j < n_dims; ++j) {
            const double side = double(low[n_dims + j]) - double(low[j]);
            sum += side * side;
        }
        return sum;
    }

    // Visit leaves from one leaf outwards. `search.near(id, distance)` tells whether a node is worth a
    // visit, and `search.visit(leaf, id)` visits one.
    template <class Search> void outwards(Index from, Search& search) const {
        Node path[64];
        int depth = 0;
        Node node = root();
        while (node.count > 1) {
            const bool is_left = from < node.right().first;
            path[depth++] = is_left ? node.right() : node.left();
            node = is_left ? node.left() : node.right();
        }
        search.visit(from, node.id);
        while (depth > 0) {
            const Node other = path[--depth];
            inwards(node.id, other, distance_of_boxes(node.id, other.id), search);
        }
    }

private:
    std::vector<float> points_, boxes_;

    std::pair<std::size_t, std::size_t> range(Node node) const {
        return {std::size_t(node.first) * width,
                std::min(std::size_t(node.first + node.count) * width, std::size_t(n_rows))};
    }

    template <class Search> void inwards(Index from, Node node, float distance, Search& search) const {
        if (!search.near(node.id, distance)) return;
        if (node.count == 1) return search.visit(node.first, node.id);
        Node near = node.left(), far = node.right();
        float to_near = distance_of_boxes(from, near.id), to_far = distance_of_boxes(from, far.id);
        if (to_far < to_near) std::swap(near, far), std::swap(to_near, to_far);
        inwards(from, near, to_near, search);
        inwards(from, far, to_far, search);
    }

    void build(Node node) {
        split(node);
        if (node.count == 1) return;
        build(node.left());
        build(node.right());
    }

    // Measure the box of a node; order its rows so that the right part has the larger coordinates.
    void split(Node node) {
        const auto [begin, end] = range(node);
        float *low = boxes_.data() + std::size_t(node.id) * 2 * n_dims, *high = low + n_dims;
        std::fill(low, high, std::numeric_limits<float>::infinity());
        std::fill(high, high + n_dims, -std::numeric_limits<float>::infinity());
        for (std::size_t i = begin; i < end; ++i)
            for (int j = 0; j < n_dims; ++j) {
                const float x = points_[i * n_dims + j];
                low[j] = std::min(low[j], x);
                high[j] = std::max(high[j], x);
            }
        if (node.count == 1) return;
        int widest = 0;
        for (int j = 1; j < n_dims; ++j)
            if (high[j] - low[j] > high[widest] - low[widest]) widest = j;
        std::vector<std::pair<float, Index>> keys(end - begin);
        for (std::size_t i = begin; i < end; ++i) keys[i - begin] = {points_[i * n_dims + widest], Index(i - begin)};
        std::nth_element(keys.begin(), keys.begin() + std::ptrdiff_t(node.count / 2) * width, keys.end());
        std::vector<float> moved(keys.size() * n_dims);
        std::vector<Index> rows(keys.size());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const std::size_t old = begin + keys[i].second;
            std::copy_n(points_.data() + old * n_dims, n_dims, moved.data() + i * n_dims);
            rows[i] = order[old];
        }
        std::copy(moved.begin(), moved.end(), points_.begin() + begin * n_dims);
        std::copy(rows.begin(), rows.end(), order.begin() + begin);
    }

    void transpose(Index leaf) {
        float* block = points_.data() + std::size_t(leaf) * width * n_dims;
        const std::vector<float> old(block, block + std::size_t(width) * n_dims);
        for (Index i = 0; i < width; ++i)
            for (int j = 0; j < n_dims; ++j) block[j * width + i] = old[i * n_dims + j];
    }
};
