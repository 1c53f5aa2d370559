// Which tiles ellipses touch, exact per row of tiles, LANES ellipses at a time.
#pragma once

#include "kernels.h"

namespace splatworld {

// As in Record.
struct Ellipses {
  FloatV x, y, p, q, r, cut;
};

struct TileSpans {
  IntV first, last;  // inclusive; empty where last < first
};

// The rows of tiles that ellipses touch, and what is needed for their columns in each.
struct Extents {
  TileSpans rows;
  FloatV tilt;  // dy at which the right edge is farthest out; the left edge's is its mirror image
  FloatV inverse_p;
};

// Compiled once: counting and listing must agree to the last bit.
Extents tile_extents(const Ellipses& ellipses, const View& view);
TileSpans tile_columns(const Ellipses& ellipses, const Extents& extents, const View& view, IntV row);

// Calls use(row, columns) with the next row of tiles of every ellipse, until none has any left.
template <class Use>
void for_tile_rows(const Ellipses& ellipses, IntV wanted, const View& view, Use&& use) {
  Extents extents = tile_extents(ellipses, view);
  for (IntV row = extents.rows.first;; ++row) {
    IntV left = wanted & (row <= extents.rows.last);
    if (!any(left)) return;
    TileSpans columns = tile_columns(ellipses, extents, view, row);
    use(row, TileSpans{columns.first, select(left, columns.last, columns.first - 1)});
  }
}

}  // namespace splatworld
