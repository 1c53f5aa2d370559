// Which tiles an ellipse touches, exact per row of tiles.
#pragma once

#include "kernels.h"

namespace splatworld {

struct TileSpan {
  int first, last;  // inclusive; empty when last < first
};

// An ellipse's extent: the rows of tiles it touches, and what is needed for its columns in each.
struct Extent {
  TileSpan rows;
  float tilt;       // dy at which the right edge is farthest out; the left edge's is its mirror image
  float inverse_p;
};

// Compiled once: counting and listing must agree to the last bit.
Extent tile_extent(const Record& splat, const View& view);
TileSpan tile_columns(const Record& splat, const Extent& extent, const View& view, int row);

}  // namespace splatworld
