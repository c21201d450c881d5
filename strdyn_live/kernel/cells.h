// Cell list over a finite set of atoms: no box, no images, only what is given.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "isa.h"

namespace strdyn {

struct Atoms {
    std::int64_t count;
    const double* positions;      // (count, 3)
    const std::int32_t* species;  // (count), or null: all of species 0
};

// Cells are half a search radius wide, so a search looks at 5 x 5 x 5 of them, in 25 rows along x.
// Only occupied cells are stored, sorted by (species, z, y, x): empty space costs nothing, and the
// atoms of one species in one row of cells lie side by side.
class Cells {
public:
    Cells(const Atoms& atoms, int n_species, double radius);

    using Key = std::uint64_t;
    static constexpr int bits = 18;        // of a cell index along one axis
    static constexpr int reach_cells = 2;  // cells to each side of the center's

    Points points() const { return {x_.data(), y_.data(), z_.data()}; }
    // Row in the input of the i-th atom in cell order.
    std::int32_t row(std::int32_t i) const { return rows_[i]; }
    // Cell of a position, species 0.
    Key key(const double position[3]) const;

private:
    friend class Search;
    std::array<double, 3> origin_{};
    double edge_ = 1.0;
    double radius_ = 0.0;
    int n_species_ = 1;
    std::vector<double> x_, y_, z_;
    std::vector<std::int32_t> rows_;
    std::vector<Key> keys_;            // of the occupied cells
    std::vector<std::int32_t> starts_;  // their first atoms, and the end
};

// Finds the rows of cells around one center after another. Cheap if the centers come in the order
// of their keys: the rows of the next cell are looked for onwards from those of the last.
class Search {
public:
    explicit Search(const Cells& cells);
    // Moves to a center; ranges(species) then holds every atom of the species within the radius.
    void move_to(const double center[3]);
    const std::vector<Range>& ranges(int species) const { return ranges_[species]; }

private:
    struct Row {
        int dy, dz;
        Range atoms;
    };
    std::size_t seek(std::size_t from, Cells::Key key) const;

    const Cells& cells_;
    Cells::Key key_ = ~Cells::Key{0};
    std::vector<std::size_t> cursors_;       // (n_species, 25): first cell of the row
    std::vector<std::vector<Row>> rows_;     // per species, those that are not empty
    std::vector<std::vector<Range>> ranges_;  // per species, those near enough
};

}  // namespace strdyn
