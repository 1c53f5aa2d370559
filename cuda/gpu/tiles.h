// The tiles of one ellipse, one after the other.
#pragma once

#include "math/tiles.h"

namespace splatworld::gpu {

// Calls use(row, columns) for each row of tiles that an ellipse touches. Not inlined where rows are found, so that those
// who count and those who list agree to the last bit.
static __device__ __noinline__ ExtentsOf<float> extents(EllipseOf<float> s, int tiles_y) {
  return extents_of(s, tiles_y);
}
static __device__ __noinline__ SpansOf<int32_t> columns(EllipseOf<float> s, ExtentsOf<float> found, int tiles_x,
                                                         int32_t row) {
  return columns_of(s, found, tiles_x, row);
}

template <class Use>
__device__ void for_tile_rows(const EllipseOf<float>& s, int tiles_x, int tiles_y, Use&& use) {
  const ExtentsOf<float> found = extents(s, tiles_y);
  for (int32_t row = found.rows.first; row <= found.rows.last; ++row) use(row, columns(s, found, tiles_x, row));
}

inline __device__ int32_t count_tiles(const EllipseOf<float>& s, int tiles_x, int tiles_y) {
  int32_t tiles = 0;
  for_tile_rows(s, tiles_x, tiles_y, [&](int32_t, const SpansOf<int32_t>& span) {
    tiles += span.last >= span.first ? span.last - span.first + 1 : 0;
  });
  return tiles;
}

}  // namespace splatworld::gpu
