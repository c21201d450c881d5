// The minimum spanning tree of mutual reachability distances; defined in spanning_tree.py.
//
// Leaves of a k-d tree are compared in single precision, with a margin for its rounding. What passes is
// computed in double precision. So every weight is exact, on any processor.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <tuple>

#include "arrays.h"
#include "boruvka.h"
#include "core_distances.h"

namespace nb = nanobind;

namespace {

using Rows = nb::ndarray<const float, nb::shape<-1, -1>, nb::c_contig, nb::device::cpu>;
using Ends = nb::ndarray<nb::numpy, Index, nb::shape<-1, 2>>;
using Weights = nb::ndarray<nb::numpy, double, nb::ndim<1>>;

std::tuple<Ends, Weights> spanning_tree(Rows rows, Index n_nearest, int n_threads) {
    const Index n = static_cast<Index>(rows.shape(0));
    const int n_dims = static_cast<int>(rows.shape(1));
    if (n_nearest < 1 || n_nearest > n) throw std::invalid_argument("expected at least as many rows as neighbors.");
    std::vector<Index> ends;
    std::vector<double> weights;
    {
        nb::gil_scoped_release release;
        if (n_threads < 1) n_threads = std::max(1u, std::thread::hardware_concurrency());
        const KdTree tree(rows.data(), n, n_dims, n_threads);
        std::vector<double> core(n);
        {
            std::vector<CoreDistances> searches(n_threads, CoreDistances(tree, n_nearest));
            in_parallel(tree.n_leaves, n_threads, [&](int thread, Index leaf) {
                searches[thread].find(leaf, core.data() + std::size_t(leaf) * width);
            });
        }
        SpanningTree found(tree, core, n_threads);
        ends = std::move(found.ends);
        weights = std::move(found.weights);
        for (double& weight : weights) weight = std::sqrt(weight);
    }
    const std::size_t n_edges = weights.size();
    return {as_array<Index, Ends>(std::move(ends), {n_edges, 2}),
            as_array<double, Weights>(std::move(weights), {n_edges})};
}

}  // namespace

NB_MODULE(_spanning_tree, m) {
    m.def("spanning_tree", &spanning_tree, nb::arg("rows"), nb::arg("n_nearest"), nb::arg("n_threads"),
          "Both ends and the weight of the edges of the minimum spanning tree, in any order.");
}
