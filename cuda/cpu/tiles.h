// Which tiles an ellipse touches, exact per row of tiles.
#pragma once

#include "kernels.h"

namespace splatworld {

struct TileSpan {
  int first, last;  // inclusive; empty when last < first
};

// Compiled once: counting and listing must agree to the last bit.
TileSpan tile_rows(const Record& splat, const View& view);
TileSpan tile_columns(const Record& splat, const View& view, int row);

}  // namespace splatworld
