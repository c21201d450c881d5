// SOAP power spectra and neighbor lists of many centers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "cells.h"
#include "isa.h"

namespace strdyn {

// Doubles at the start of a cache line, so that no register is loaded from two.
class AlignedArray {
public:
    explicit AlignedArray(std::size_t n = 0)
        : data_(static_cast<double*>(::operator new(n * sizeof(double) + 1, alignment))) {
        std::fill_n(data_.get(), n, 0.0);
    }
    double* data() { return data_.get(); }

private:
    static constexpr std::align_val_t alignment{64};
    struct Free {
        void operator()(double* p) const { ::operator delete(p, alignment); }
    };
    std::unique_ptr<double, Free> data_;
};

// The widest instruction set of this processor, or the named one.
const Isa& find_isa(const char* name);
std::vector<const Isa*> available_isas();

// Power spectrum in a Gaussian basis; owns the arrays of Basis.
class PowerSpectrum {
public:
    // exponents (l_max + 1, n_max): a in exp(-a r^2); weights (l_max + 1, n_max [n], n_max [k]), which
    // enlarge the rounding errors of the Gaussians by `condition`.
    PowerSpectrum(int n_species, int n_max, int l_max, double reach, const double* exponents,
                  const double* weights, double condition);

    PowerSpectrum(const PowerSpectrum&) = delete;  // basis_ points into the vectors

    const Basis& basis() const { return basis_; }
    double reach() const { return reach_; }
    std::int64_t n_features() const;

private:
    Basis basis_;
    double reach_;
    AlignedArray exponents_, weights_, norms_;
    std::vector<double> recurrence_;
};

struct Centers {
    std::int64_t count;
    const std::int64_t* rows;
};

// A growing array whose memory is given away to NumPy, so that no second copy ever exists.
class IdBuffer {
public:
    std::int64_t* extend(std::int64_t n);  // room for n more
    std::int64_t size() const { return size_; }
    std::int64_t* release();  // to be freed with std::free

private:
    struct Free {
        void operator()(std::int64_t* p) const { std::free(p); }
    };
    std::unique_ptr<std::int64_t, Free> data_;
    std::int64_t size_ = 0, capacity_ = 0;
};

// What to write down as neighbors of a center, and where.
struct NeighborLists {
    double r_cut;
    const std::int64_t* atom_ids;
    const std::uint8_t* environment;  // a NumPy bool may be any byte
    std::int64_t* counts;  // (n_centers)
    IdBuffer ids;
};

struct CoincidenceError : std::invalid_argument {
    CoincidenceError(const std::string& message, std::int64_t row, std::int64_t other)
        : std::invalid_argument(message), rows{row, other} {}
    std::int64_t rows[2];
};

// Which spectra to compute, and where they go.
struct Spectra {
    const PowerSpectrum* power_spectrum;
    double* rows;  // of all centers; or of those of one batch, if they are taken
    std::function<void(std::int64_t start, std::int64_t n)> take = {};  // called after each batch
};

// Centers between two calls of `take`: their spectra are not more than 8 MB.
std::int64_t batch_size(const PowerSpectrum& power_spectrum);

// One search around every center for its spectrum (or null) and its neighbor list (or null).
// Throws CoincidenceError if an atom lies exactly on a center.
void describe(const Atoms& atoms, const Centers& centers, const Spectra* spectra,
              NeighborLists* lists, int n_threads, const Isa& isa);

}  // namespace strdyn
