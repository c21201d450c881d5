// The condensed tree of a dendrogram; defined in condensed_tree.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.h"

namespace nb = nanobind;

namespace {

using Node = std::int32_t;
using Joined = nb::ndarray<const Node, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
using Heights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Sizes = nb::ndarray<const Node, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Nodes = nb::ndarray<nb::numpy, Node, nb::ndim<1>>;
using Densities = nb::ndarray<nb::numpy, double, nb::ndim<1>>;

double density(double height) { return height > 0.0 ? 1.0 / height : std::numeric_limits<double>::infinity(); }

std::tuple<Nodes, Densities, Nodes, Densities, Nodes> condense(Joined joined, Heights heights, Sizes sizes,
                                                               Node min_cluster_size) {
    const std::size_t n_joins = heights.shape(0), n_rows = n_joins + 1;
    if (n_joins == 0 || joined.shape(0) != n_joins || sizes.shape(0) != n_joins)
        throw std::invalid_argument("expected two nodes, one height and one size for each join, and at least one join.");
    if (min_cluster_size < 2) throw std::invalid_argument("expected a min_cluster_size of at least 2.");
    for (std::size_t k = 0; k < 2 * n_joins; ++k)  // a node is joined after it was made
        if (joined.data()[k] < 0 || std::size_t(joined.data()[k]) >= n_rows + k / 2)
            throw std::invalid_argument("a join takes a node that does not exist yet: expected the joins by increasing height.");
    const auto size = [&](Node node) { return std::size_t(node) < n_rows ? 1 : sizes.data()[node - n_rows]; };

    std::vector<Node> branch_of(n_joins, -1);  // of the joins with enough rows
    std::vector<Node> left_at(n_joins, -1);    // join at which a smaller node leaves its branch
    std::vector<Node> branch(n_rows), parent{-1}, branch_size{Node(n_rows)};
    std::vector<double> leaves(n_rows), birth{0.0};
    {
        nb::gil_scoped_release release;
        // level by level: branches get the numbers that hdbscan gives them
        branch_of[n_joins - 1] = 0;
        std::vector<Node> level{Node(n_joins - 1)}, below;
        for (; !level.empty(); level.swap(below), below.clear()) {
            for (const Node join : level) {
                const Node* nodes = joined.data() + 2 * std::size_t(join);
                const bool splits = size(nodes[0]) >= min_cluster_size && size(nodes[1]) >= min_cluster_size;
                for (const Node node : {nodes[0], nodes[1]}) {
                    if (size(node) < min_cluster_size) continue;
                    Node& here = branch_of[node - n_rows] = branch_of[join];
                    if (splits) {
                        here = Node(parent.size());
                        parent.push_back(branch_of[join]);
                        birth.push_back(density(heights.data()[join]));
                        branch_size.push_back(size(node));
                    }
                    below.push_back(Node(node - n_rows));
                }
            }
        }
        for (std::size_t join = n_joins; join-- > 0;) {  // parts were made before what they are part of
            if (branch_of[join] >= 0) left_at[join] = Node(join);
            for (int side = 0; side < 2; ++side) {
                const std::size_t node = joined.data()[2 * join + side];
                if (node < n_rows) {
                    branch[node] = branch_of[left_at[join]];
                    leaves[node] = density(heights.data()[left_at[join]]);
                } else if (branch_of[node - n_rows] < 0) {
                    left_at[node - n_rows] = left_at[join];
                }
            }
        }
    }
    const std::size_t n = parent.size();
    return {as_array<Node, Nodes>(std::move(branch), {n_rows}), as_array<double, Densities>(std::move(leaves), {n_rows}),
            as_array<Node, Nodes>(std::move(parent), {n}), as_array<double, Densities>(std::move(birth), {n}),
            as_array<Node, Nodes>(std::move(branch_size), {n})};
}

}  // namespace

NB_MODULE(_condensed_tree, m) {
    m.def("condense", &condense, nb::arg("joined"), nb::arg("heights"), nb::arg("sizes"), nb::arg("min_cluster_size"),
          "Branch and density of every row; parent, density and rows of every branch at its birth.");
}
