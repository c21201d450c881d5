// The single-linkage dendrogram of a minimum spanning tree; defined in single_linkage.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arrays.h"

namespace nb = nanobind;

namespace {

using Node = std::int32_t;
using Ends = nb::ndarray<const Node, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Weights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Joined = nb::ndarray<nb::numpy, Node, nb::shape<-1, 2>>;
using Sizes = nb::ndarray<nb::numpy, Node, nb::ndim<1>>;

struct Components {
    std::vector<Node> parent, size, first;

    explicit Components(Node n_rows)
        : parent(2 * n_rows - 1), size(2 * n_rows - 1, 1), first(2 * n_rows - 1) {
        std::iota(parent.begin(), parent.end(), Node{0});
        std::iota(first.begin(), first.end(), Node{0});
    }

    Node top(Node node) {
        Node root = node;
        while (parent[root] != root) root = parent[root];
        while (parent[node] != root) node = std::exchange(parent[node], root);
        return root;
    }

    // Sort the components that edges of one weight connect into chains: in each chain the largest
    // component first, then by first row; chains in the order of their first members.
    std::vector<std::vector<Node>> chains(std::vector<Node> tops) {
        if (tops.size() == 2 && tops[0] != tops[1]) return {std::move(tops)};
        for (std::size_t k = 0; k < tops.size(); k += 2) parent[top(tops[k])] = top(tops[k + 1]);
        std::sort(tops.begin(), tops.end(), [this](Node a, Node b) {
            return size[a] != size[b] ? size[a] > size[b] : first[a] < first[b];
        });
        tops.erase(std::unique(tops.begin(), tops.end()), tops.end());
        std::vector<std::vector<Node>> found;
        std::unordered_map<Node, std::size_t> number;
        for (const Node member : tops) {
            const auto [at, is_new] = number.try_emplace(top(member), found.size());
            if (is_new) found.emplace_back();
            found[at->second].push_back(member);
        }
        return found;
    }
};

std::tuple<Joined, Sizes> join(Ends ends, Weights weights) {
    const Node n_edges = static_cast<Node>(weights.shape(0)), n_rows = n_edges + 1;
    if (ends.shape(0) != weights.shape(0)) throw std::invalid_argument("expected one weight for each edge.");
    for (Node k = 0; k < 2 * n_edges; ++k)
        if (ends.data()[k] < 0 || ends.data()[k] >= n_rows)
            throw std::invalid_argument("an edge leads to a row that does not exist: expected rows from 0 to the number of edges.");
    std::vector<Node> joined, sizes;
    joined.reserve(2 * n_edges);
    sizes.reserve(n_edges);
    {
        nb::gil_scoped_release release;
        Components all(n_rows);
        Node created = n_rows;
        for (Node start = 0, stop; start < n_edges; start = stop) {
            stop = start + 1;
            while (stop < n_edges && weights.data()[stop] == weights.data()[start]) ++stop;
            std::vector<Node> tops;
            for (Node k = 2 * start; k < 2 * stop; ++k) tops.push_back(all.top(ends.data()[k]));
            for (const auto& chain : all.chains(std::move(tops))) {
                Node node = chain.front();
                for (std::size_t k = 1; k < chain.size(); ++k) {
                    const Node member = chain[k];
                    if (created == 2 * n_rows - 1) break;  // not a tree
                    joined.insert(joined.end(), {std::max(node, member), std::min(node, member)});
                    sizes.push_back(all.size[node] + all.size[member]);
                    all.parent[node] = all.parent[member] = all.parent[created] = created;
                    all.size[created] = sizes.back();
                    all.first[created] = std::min(all.first[node], all.first[member]);
                    node = created++;
                }
            }
        }
    }
    if (static_cast<Node>(sizes.size()) != n_edges)
        throw std::invalid_argument("the edges are not a spanning tree: some of them close a ring. Give the edges of a tree.");
    const std::size_t n = sizes.size();
    return {as_array<Node, Joined>(std::move(joined), {n, 2}), as_array<Node, Sizes>(std::move(sizes), {n})};
}

}  // namespace

NB_MODULE(_single_linkage, m) {
    m.def("join", &join, nb::arg("ends"), nb::arg("weights"),
          "Join components edge by edge, by increasing weight: both nodes and the size of each join.");
}
