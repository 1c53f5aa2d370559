// Which tiles ellipses touch, exact per row of tiles, LANES ellipses at a time.
#pragma once

#include "kernels.h"

namespace splatworld {

using Ellipses = EllipseOf<FloatV>;
using TileSpans = SpansOf<IntV>;
using Extents = ExtentsOf<FloatV>;

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
