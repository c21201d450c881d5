#include "kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace strdyn {

std::vector<const Isa*> available_isas() {
    std::vector<const Isa*> isas{&isa_baseline};
#if defined(STRDYN_X86)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(&isa_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        isas.push_back(&isa_avx512);
#endif
    return isas;
}

const Isa& find_isa(const char* name) {
    const auto isas = available_isas();
    if (!*name) return *isas.back();
    std::string known;
    for (const Isa* isa : isas) {
        if (std::strcmp(isa->name, name) == 0) return *isa;
        known += std::string(known.empty() ? "" : ", ") + isa->name;
    }
    throw std::invalid_argument("isa = '" + std::string(name) + "': this processor has " + known + ".");
}

// ---------------------------------------------------------------------------------- PowerSpectrum

PowerSpectrum::PowerSpectrum(int n_species, int n_max, int l_max, double reach,
                             const double* exponents, const double* weights, double condition)
    : reach_(reach) {
    const int n_pad = (n_max + 3) / 4 * 4;
    const int n_l = l_max + 1;
    const double pi = 3.14159265358979323846;
    exponents_ = AlignedArray(n_l * n_pad);
    weights_ = AlignedArray(n_l * n_max * n_pad);
    norms_ = AlignedArray(n_l * n_l);
    double steepest = 0.0;
    for (int l = 0; l < n_l; ++l)
        for (int k = 0; k < n_max; ++k) {
            const double exponent = -exponents[l * n_max + k] / std::log(2.0);
            steepest = std::min(steepest, exponent);
            exponents_.data()[l * n_pad + k] = exponent;
            for (int n = 0; n < n_max; ++n)
                weights_.data()[(l * n_max + k) * n_pad + n] = weights[(l * n_max + n) * n_max + k];
        }
    // N_lm is monic: its squared norm with the weight (1 - z^2)^m is that of the weight times the
    // coefficients c of the recurrence; the angle phi adds pi, or 2 pi for m = 0
    double weight = 2.0;  // integral of (1 - z^2)^m
    for (int m = 0; m < n_l; ++m) {
        if (m > 0) weight *= 2.0 * m / (2.0 * m + 1.0);
        double squared = weight * (m == 0 ? 2.0 * pi : pi);
        for (int l = m; l < n_l; ++l) {
            const double c = l == m ? 0.0 : double(l * l - m * m) / (4.0 * l * l - 1.0);
            recurrence_.push_back(-c);
            if (l > m) squared *= c;
            const int row = l * l + (m == 0 ? 0 : 2 * m - 1);
            norms_.data()[row] = 1.0 / std::sqrt(squared);
            if (m > 0) norms_.data()[row + 1] = norms_.data()[row];
        }
    }
    basis_ = {n_species, n_max, l_max, n_pad, steepest * reach * reach < -1000.0,
              condition > 1e4,  // 5e-15 x this is far below what is promised
              exponents_.data(), weights_.data(), recurrence_.data(), norms_.data()};
}

std::int64_t PowerSpectrum::n_features() const {
    const std::int64_t n = std::int64_t{basis_.n_species} * basis_.n_max;
    return n * (n + 1) / 2 * (basis_.l_max + 1);
}

// -------------------------------------------------------------------------------------- IdBuffer

std::int64_t* IdBuffer::extend(std::int64_t n) {
    if (size_ + n > capacity_ || !data_) {
        // realloc of large blocks moves pages, not bytes; untouched pages take no memory
        const std::int64_t capacity = std::max<std::int64_t>({size_ + n, capacity_ / 2 * 3, 64});
        auto* grown = static_cast<std::int64_t*>(std::realloc(data_.get(), capacity * sizeof(std::int64_t)));
        if (!grown) throw std::bad_alloc();
        data_.release();
        data_.reset(grown);
        capacity_ = capacity;
    }
    size_ += n;
    return data_.get() + size_ - n;
}

std::int64_t* IdBuffer::release() {
    extend(0);
    auto* data = data_.release();
    auto* shrunk = static_cast<std::int64_t*>(
        std::realloc(data, std::max<std::int64_t>(size_, 1) * sizeof(std::int64_t)));
    return shrunk ? shrunk : data;
}

// -------------------------------------------------------------------------------------- describe

namespace {

constexpr std::int64_t most_at_once = 8192;  // centers between two appends to the list of all IDs
constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();

using Order = std::vector<std::pair<Cells::Key, std::int64_t>>;

// One thread: its share of the centers of a batch, in the order of their cells.
class Worker {
public:
    Worker(const Atoms& atoms, const Centers& centers, const Cells& cells, const Spectra* spectra,
           const NeighborLists* lists, const Isa& isa)
        : atoms_(atoms), centers_(centers), cells_(cells), search_(cells),
          power_spectrum_(spectra ? spectra->power_spectrum : nullptr),
          spectra_(spectra ? spectra->rows : nullptr), lists_(lists), isa_(isa) {
        reach_squared_ = power_spectrum_ ? power_spectrum_->reach() * power_spectrum_->reach() : -1.0;
        near_squared_ = lists ? lists->r_cut * lists->r_cut : -1.0;
        if (power_spectrum_) {
            const Basis& basis = power_spectrum_->basis();
            n_species_ = basis.n_species;
            stride_ = (basis.l_max + 1) * (basis.l_max + 1) * max_n;
            density_ = AlignedArray(static_cast<std::size_t>(stride_) * n_species_);
            scratch_ = AlignedArray(scratch_size(n_species_));
        }
    }

    // The spectrum of the center `first` is the first row.
    void run(const Order& order, std::int64_t begin, std::int64_t end, std::int64_t first) noexcept {
        try {
            ids.clear();
            for (std::int64_t i = begin; i < end; ++i) describe_one(order[i].second, first);
        } catch (...) {
            error = std::current_exception();
        }
    }

    std::vector<std::int64_t> ids;  // lists of the centers, in the order of the cells
    std::exception_ptr error;
    std::int64_t coincident = none;  // first center that has an atom on it

private:
    void describe_one(std::int64_t index, std::int64_t first) {
        const std::int64_t center = centers_.rows[index];
        const double* position = atoms_.positions + 3 * center;
        search_.move_to(position);
        const std::size_t first_id = ids.size();
        int n_coincident = 0;
        for (int species = 0; species < n_species_; ++species) {
            const auto& ranges = search_.ranges(species);
            reserve(ranges);
            Found found{dx_.data(), dy_.data(), dz_.data(), near_.data(), 0, 0, 0};
            isa_.search(cells_.points(), ranges.data(), static_cast<int>(ranges.size()), position,
                        reach_squared_, near_squared_, found);
            n_coincident += found.n_coincident;
            if (power_spectrum_)
                isa_.expand(power_spectrum_->basis(), found.n_within, found.dx, found.dy, found.dz,
                            scratch_.data(), density_.data() + species * stride_);
            if (lists_) {
                std::size_t n = ids.size();
                ids.resize(n + found.n_near);
                for (int k = 0; k < found.n_near; ++k) {
                    const std::int32_t row = cells_.row(found.near[k]);
                    ids[n] = lists_->atom_ids[row];
                    n += lists_->environment[row] && ids[n] != lists_->atom_ids[center];
                }
                ids.resize(n);
            }
        }
        if (n_coincident > 1) coincident = std::min(coincident, index);
        if (power_spectrum_)
            isa_.contract(power_spectrum_->basis(), density_.data(), scratch_.data(),
                          spectra_ + (index - first) * power_spectrum_->n_features());
        if (lists_) {
            const std::size_t n = ids.size() - first_id;
            const bool small = 0 < n && n <= max_small_list;
            const int kept = small ? isa_.sort_small_list(ids.data() + first_id, static_cast<int>(n)) : -1;
            if (kept >= 0) {
                ids.resize(first_id + kept);
            } else {
                std::sort(ids.begin() + first_id, ids.end());
                ids.erase(std::unique(ids.begin() + first_id, ids.end()), ids.end());
            }
            lists_->counts[index] = static_cast<std::int64_t>(ids.size() - first_id);
        }
    }

    void reserve(const std::vector<Range>& ranges) {
        std::size_t n = spill;
        for (const Range& range : ranges) n += range.end - range.begin;
        if (n > near_.size()) {
            dx_.resize(2 * n);
            dy_.resize(2 * n);
            dz_.resize(2 * n);
            near_.resize(2 * n);
        }
    }

    const Atoms& atoms_;
    const Centers& centers_;
    const Cells& cells_;
    Search search_;
    const PowerSpectrum* power_spectrum_;
    double* spectra_;
    const NeighborLists* lists_;
    const Isa& isa_;
    double reach_squared_, near_squared_;
    int n_species_ = 1, stride_ = 0;
    AlignedArray density_, scratch_;
    std::vector<double> dx_, dy_, dz_;
    std::vector<std::int32_t> near_;
};

}  // namespace

std::int64_t batch_size(const PowerSpectrum& power_spectrum) {
    constexpr std::int64_t most_numbers = 1 << 20;
    return std::clamp<std::int64_t>(most_numbers / power_spectrum.n_features(), 1, most_at_once);
}

void describe(const Atoms& atoms, const Centers& centers, const Spectra* spectra,
              NeighborLists* lists, int n_threads, const Isa& isa) {
    const PowerSpectrum* power_spectrum = spectra ? spectra->power_spectrum : nullptr;
    const bool are_taken = spectra && spectra->take;
    const std::int64_t at_once = are_taken ? batch_size(*power_spectrum) : most_at_once;
    const double radius =
        std::max(power_spectrum ? power_spectrum->reach() : 0.0, lists ? lists->r_cut : 0.0);
    const Cells cells(atoms, power_spectrum ? power_spectrum->basis().n_species : 1, radius);
    n_threads = static_cast<int>(std::clamp<std::int64_t>(n_threads, 1, 1 + centers.count / 16));
    std::vector<Worker> workers;
    for (int t = 0; t < n_threads; ++t)
        workers.emplace_back(atoms, centers, cells, spectra, lists, isa);

    Order order;
    std::vector<const std::int64_t*> sources;  // where the list of each center of the batch lies
    for (std::int64_t start = 0; start < centers.count; start += at_once) {
        const std::int64_t n = std::min(at_once, centers.count - start);
        order.resize(n);
        for (std::int64_t i = 0; i < n; ++i)
            order[i] = {cells.key(atoms.positions + 3 * centers.rows[start + i]), start + i};
        std::sort(order.begin(), order.end());

        const auto run = [&](int t) {
            workers[t].run(order, n * t / n_threads, n * (t + 1) / n_threads, are_taken ? start : 0);
        };
        std::vector<std::thread> threads;
        threads.reserve(n_threads);
        for (int t = 1; t < n_threads; ++t) {
            try {
                threads.emplace_back(run, t);
            } catch (const std::system_error&) {
                run(t);  // no more threads to be had
            }
        }
        run(0);
        for (std::thread& thread : threads) thread.join();

        std::int64_t coincident = none;
        for (const Worker& worker : workers) {
            if (worker.error) std::rethrow_exception(worker.error);
            coincident = std::min(coincident, worker.coincident);
        }
        if (coincident != none) {
            // found so rarely that the partner is looked for without the cells
            const std::int64_t row = centers.rows[coincident];
            const double* a = atoms.positions + 3 * row;
            std::int64_t other = 0;
            for (const double* b = atoms.positions; other < atoms.count; ++other, b += 3) {
                const double x = b[0] - a[0], y = b[1] - a[1], z = b[2] - a[2];
                if (other != row && x * x + y * y + z * z == 0.0) break;
            }
            throw CoincidenceError(
                "positions: rows " + std::to_string(row) + " and " + std::to_string(other) +
                " are the same point (" + std::to_string(a[0]) + ", " + std::to_string(a[1]) + ", " +
                std::to_string(a[2]) + "). Two atoms cannot coincide; is an image given twice?",
                row, other);
        }
        if (lists) {
            sources.resize(n);
            std::int64_t total = 0;
            for (int t = 0; t < n_threads; ++t) {
                const std::int64_t* source = workers[t].ids.data();
                for (std::int64_t i = n * t / n_threads; i < n * (t + 1) / n_threads; ++i) {
                    const std::int64_t index = order[i].second;
                    sources[index - start] = source;
                    source += lists->counts[index];
                    total += lists->counts[index];
                }
            }
            std::int64_t* to = lists->ids.extend(total);
            for (std::int64_t i = 0; i < n; ++i)
                to = std::copy_n(sources[i], lists->counts[start + i], to);
        }
        if (are_taken) spectra->take(start, n);
    }
}

}  // namespace strdyn
