// The Python module: arrays in, arrays out. Shapes, dtypes and values are checked by __init__.py;
// what is checked here again are the lengths and the rows that would lead out of an array.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <string>
#include <tuple>

#include "kernel.h"

namespace nb = nanobind;
using namespace strdyn;

namespace {

template <class T, class... Shape>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu, Shape...>;
template <class T, class... Shape>
using NewArray = nb::ndarray<nb::numpy, T, nb::c_contig, Shape...>;
using Vectors = Array<double, nb::shape<-1, 3>>;
using Ints = Array<std::int64_t, nb::ndim<1>>;
using Species = Array<std::int32_t, nb::ndim<1>>;
using Mask = Array<bool, nb::ndim<1>>;
using NewInts = NewArray<std::int64_t, nb::ndim<1>>;
using NewVector = NewArray<double, nb::ndim<1>>;
using NewMatrix = NewArray<double, nb::ndim<2>>;

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

void check_atoms(const Vectors& positions, std::size_t n, const char* name) {
    if (positions.shape(0) > 0x7fffffff - 64) fail("positions: more than 2^31 atoms.");
    if (n != positions.shape(0))
        fail(std::string(name) + " has " + std::to_string(n) + " entries, positions has " +
             std::to_string(positions.shape(0)) + " rows: one entry per atom is expected.");
    const double* x = positions.data();
    for (std::size_t i = 0; i < 3 * n; ++i)
        if (!(std::fabs(x[i]) <= 1e100))  // squares and differences stay finite
            fail("positions: row " + std::to_string(i / 3) + " is (" + std::to_string(x[i / 3 * 3]) + ", " +
                 std::to_string(x[i / 3 * 3 + 1]) + ", " + std::to_string(x[i / 3 * 3 + 2]) +
                 "): expected finite numbers.");
}

void check_rows(const char* name, const std::int64_t* values, std::size_t n, std::int64_t stop) {
    for (std::size_t i = 0; i < n; ++i)
        if (values[i] < 0 || values[i] >= stop)
            fail(std::string(name) + ": entry " + std::to_string(i) + " is " + std::to_string(values[i]) +
                 ", expected 0 to " + std::to_string(stop - 1) + ".");
}

void check_species(const Species& species, int n_species) {
    for (std::size_t i = 0; i < species.shape(0); ++i)
        if (species.data()[i] < 0 || species.data()[i] >= n_species)
            fail("species: row " + std::to_string(i) + " is " + std::to_string(species.data()[i]) +
                 ", expected 0 to " + std::to_string(n_species - 1) + " (index into the species).");
}

void check_r_cut(double r_cut) {
    if (!(r_cut >= 1e-100 && r_cut <= 1e100))
        fail("cutoff radius " + std::to_string(r_cut) + ": expected a finite number above 0.");
}

// NumPy frees the memory with the given function.
NewInts take(std::int64_t* data, std::size_t n) {
    return NewInts(data, {n}, nb::capsule(data, [](void* p) noexcept { std::free(p); }));
}

std::int64_t* new_ints(std::size_t n) {
    auto* data = static_cast<std::int64_t*>(std::malloc((n ? n : 1) * sizeof(std::int64_t)));
    if (!data) throw std::bad_alloc();
    return data;
}

const std::uint8_t* bytes(const Mask& mask) { return reinterpret_cast<const std::uint8_t*>(mask.data()); }

double* new_doubles(std::size_t n) {
    auto* data = static_cast<double*>(std::malloc((n ? n : 1) * sizeof(double)));
    if (!data) throw std::bad_alloc();
    return data;
}

PowerSpectrum make_power_spectrum(int n_species, double reach, Array<double, nb::ndim<2>> exponents,
                                  Array<double, nb::ndim<3>> weights, double condition) {
    const std::size_t n_l = exponents.shape(0), n_max = exponents.shape(1);
    if (n_l < 1 || n_l > max_l + 1 || n_max < 1 || n_max > max_n || n_species < 1 || n_species > 255)
        fail("expected l_max 0 to " + std::to_string(max_l) + ", n_max 1 to " + std::to_string(max_n) +
             ", 1 to 255 species.");
    if (weights.shape(0) != n_l || weights.shape(1) != n_max || weights.shape(2) != n_max)
        fail("weights: expected shape (l_max + 1, n_max, n_max).");
    check_r_cut(reach);
    return PowerSpectrum(n_species, static_cast<int>(n_max), static_cast<int>(n_l) - 1, reach,
                         exponents.data(), weights.data(), condition);
}

NewMatrix spectra(const PowerSpectrum& self, Vectors positions, Species species, Ints centers, int threads,
                  const std::string& isa) {
    const Isa& chosen = find_isa(isa.c_str());
    const std::size_t n = centers.shape(0), n_features = self.n_features();
    double* out = new_doubles(n * n_features);
    nb::capsule owner(out, [](void* p) noexcept { std::free(p); });
    {
        nb::gil_scoped_release release;
        check_atoms(positions, species.shape(0), "species");
        check_species(species, self.basis().n_species);
        check_rows("centers", centers.data(), n, positions.shape(0));
        const Atoms atoms{static_cast<std::int64_t>(positions.shape(0)), positions.data(), species.data()};
        const Spectra wanted{&self, out};
        describe(atoms, {static_cast<std::int64_t>(n), centers.data()}, &wanted, nullptr, threads, chosen);
    }
    return NewMatrix(out, {n, n_features}, owner);
}

// The spectra of a few centers at a time, always in the same memory, are given to `take`.
std::tuple<NewInts, NewInts> spectra_and_neighbors(
    const PowerSpectrum& self, Vectors positions, Species species, Ints centers, Ints atom_ids,
    Mask environment, double r_cut, nb::callable take_spectra, int threads, const std::string& isa) {
    const Isa& chosen = find_isa(isa.c_str());
    const std::size_t n = centers.shape(0), n_features = self.n_features();
    const std::size_t at_once = std::min(n, static_cast<std::size_t>(batch_size(self)));
    double* out = new_doubles(at_once * n_features);
    nb::capsule owner(out, [](void* p) noexcept { std::free(p); });
    const Spectra wanted{&self, out, [&](std::int64_t start, std::int64_t count) {
        nb::gil_scoped_acquire acquire;
        take_spectra(start, NewMatrix(out, {static_cast<std::size_t>(count), n_features}, owner));
    }};
    NewInts counts = take(new_ints(n), n);
    NeighborLists lists{r_cut, atom_ids.data(), bytes(environment), counts.data(), {}};
    {
        nb::gil_scoped_release release;
        check_atoms(positions, species.shape(0), "species");
        check_atoms(positions, atom_ids.shape(0), "atom_ids");
        check_atoms(positions, environment.shape(0), "environment");
        check_species(species, self.basis().n_species);
        check_rows("centers", centers.data(), n, positions.shape(0));
        check_r_cut(r_cut);
        const Atoms atoms{static_cast<std::int64_t>(positions.shape(0)), positions.data(), species.data()};
        describe(atoms, {static_cast<std::int64_t>(n), centers.data()}, &wanted, &lists, threads, chosen);
    }
    const std::size_t n_ids = lists.ids.size();
    return {counts, take(lists.ids.release(), n_ids)};
}

std::tuple<NewInts, NewInts> neighbors(Vectors positions, Ints atom_ids, Ints centers, Mask environment,
                                       double r_cut, int threads, const std::string& isa) {
    const Isa& chosen = find_isa(isa.c_str());
    const std::size_t n = centers.shape(0);
    NewInts counts = take(new_ints(n), n);
    NeighborLists lists{r_cut, atom_ids.data(), bytes(environment), counts.data(), {}};
    {
        nb::gil_scoped_release release;
        check_atoms(positions, atom_ids.shape(0), "atom_ids");
        check_atoms(positions, environment.shape(0), "environment");
        check_rows("centers", centers.data(), n, positions.shape(0));
        check_r_cut(r_cut);
        const Atoms atoms{static_cast<std::int64_t>(positions.shape(0)), positions.data(), nullptr};
        describe(atoms, {static_cast<std::int64_t>(n), centers.data()}, nullptr, &lists, threads, chosen);
    }
    const std::size_t n_ids = lists.ids.size();
    return {counts, take(lists.ids.release(), n_ids)};
}

// |before ^ after| / (|before| + |after|) for every pair of sorted lists.
NewVector lens(Ints offsets_before, Ints ids_before, Ints offsets_after, Ints ids_after) {
    const auto check = [](const Ints& offsets, const Ints& ids, const char* name) {
        const std::size_t n = offsets.shape(0);
        const std::int64_t* o = offsets.data();
        bool good = n > 0 && o[0] == 0 && o[n - 1] == static_cast<std::int64_t>(ids.shape(0));
        for (std::size_t i = 1; good && i < n; ++i) good = o[i] >= o[i - 1];
        if (!good)
            fail(std::string(name) + ": offsets do not cut its " + std::to_string(ids.shape(0)) +
                 " IDs into lists.");
        for (std::size_t i = 0; i + 1 < n; ++i) {
            bool sorted = true;
            for (std::int64_t k = o[i] + 1; k < o[i + 1]; ++k) sorted &= ids.data()[k - 1] < ids.data()[k];
            if (!sorted)
                fail(std::string(name) + ": list " + std::to_string(i) +
                     " is not sorted: expected IDs in ascending order, each once.");
        }
    };
    const std::size_t n = offsets_before.shape(0) ? offsets_before.shape(0) - 1 : 0;
    double* out = new_doubles(n);
    nb::capsule owner(out, [](void* p) noexcept { std::free(p); });
    {
        nb::gil_scoped_release release;
        check(offsets_before, ids_before, "before");
        check(offsets_after, ids_after, "after");
        if (offsets_after.shape(0) != n + 1)
            fail("before has " + std::to_string(n) + " centers and after has " +
                 std::to_string(offsets_after.shape(0) - 1) +
                 ": LENS compares the same centers at two frames.");
        const std::int64_t *a = ids_before.data(), *b = ids_after.data();
        for (std::size_t i = 0; i < n; ++i) {
            const std::int64_t *a_end = ids_before.data() + offsets_before.data()[i + 1],
                               *b_end = ids_after.data() + offsets_after.data()[i + 1];
            const std::int64_t total = (a_end - a) + (b_end - b);
            std::int64_t shared = 0;
            while (a < a_end && b < b_end) {
                const std::int64_t x = *a, y = *b;
                shared += x == y;
                a += x <= y;
                b += y <= x;
            }
            a = a_end;
            b = b_end;
            out[i] = total ? double(total - 2 * shared) / double(total) : 0.0;
        }
    }
    return NewVector(out, {n}, owner);
}

}  // namespace

NB_MODULE(_kernel, m) {
    // a recorder may live until the interpreter ends: nothing to warn a user of
    nb::set_leak_warnings(false);
    m.doc() = "SOAP power spectra and neighbor lists; use strdyn_live.kernel, which checks the input.";
    m.def("available_isas", [] {
        std::vector<std::string> names;
        for (const Isa* isa : available_isas()) names.push_back(isa->name);
        return names;
    });
    // never freed, like the translator
    PyObject* coincident = PyErr_NewException("strdyn_live.kernel.CoincidenceError", PyExc_ValueError, nullptr);
    if (!coincident) throw nb::python_error();
    m.attr("CoincidenceError") = nb::handle(coincident);
    nb::register_exception_translator(
        [](const std::exception_ptr& p, void* type) {
            try {
                std::rethrow_exception(p);
            } catch (const CoincidenceError& e) {
                nb::object error = nb::handle(static_cast<PyObject*>(type))(e.what());
                error.attr("rows") = nb::make_tuple(e.rows[0], e.rows[1]);
                PyErr_SetObject(static_cast<PyObject*>(type), error.ptr());
            }
        },
        coincident);
    nb::class_<PowerSpectrum>(m, "PowerSpectrum")
        .def("__init__",
             [](PowerSpectrum* self, int n_species, double reach, Array<double, nb::ndim<2>> exponents,
                Array<double, nb::ndim<3>> weights, double condition) {
                 new (self) PowerSpectrum(
                     make_power_spectrum(n_species, reach, exponents, weights, condition));
             },
             nb::arg("n_species"), nb::arg("reach"), nb::arg("exponents"), nb::arg("weights"),
             nb::arg("condition"))
        .def("spectra", &spectra, nb::arg("positions"), nb::arg("species"), nb::arg("centers"),
             nb::arg("threads"), nb::arg("isa"))
        .def("spectra_and_neighbors", &spectra_and_neighbors, nb::arg("positions"), nb::arg("species"),
             nb::arg("centers"), nb::arg("atom_ids"), nb::arg("environment"), nb::arg("r_cut"),
             nb::arg("take"), nb::arg("threads"), nb::arg("isa"));
    m.def("neighbors", &neighbors, nb::arg("positions"), nb::arg("atom_ids"), nb::arg("centers"),
          nb::arg("environment"), nb::arg("r_cut"), nb::arg("threads"), nb::arg("isa"));
    m.def("lens", &lens, nb::arg("offsets_before"), nb::arg("ids_before"), nb::arg("offsets_after"),
          nb::arg("ids_after"));
}
