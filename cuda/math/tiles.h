// Which tiles an ellipse touches, exact per row of tiles: SnugBox and AccuTile of Speedy-Splat (Hanson et al., 2025), the
// opacity-aware extent, cut row by row.
#pragma once

#include "math/distance.h"

namespace splatworld {

constexpr int TILE = 16;
// px; absorbs rounding. Whether a pixel is touched is decided per pixel, later.
constexpr float TILE_MARGIN = 1e-2f;

// As in Record.
template <class F>
struct EllipseOf {
  F x, y, p, q, r, cut;
};

template <class I>
struct SpansOf {
  I first, last;  // inclusive; empty where last < first
};

// The rows of tiles that ellipses touch, and what is needed for their columns in each.
template <class F>
struct ExtentsOf {
  SpansOf<decltype(whole(F{}))> rows;
  F tilt;  // dy at which the right edge is farthest out; the left edge's is its mirror image
  F inverse_p;
};

// Tiles whose pixel centres (0.5 to TILE - 0.5 from the tile's corner) meet [low, high] px.
template <class F>
SW_HD SpansOf<decltype(whole(F{}))> tile_spans(F low, F high, int tiles) {
  const F zero = F{};
  using I = decltype(whole(zero));
  const I none = I{}, one = none + 1;
  auto clamp = [&](F tile) { return vmin(vmax(tile, zero - 1.0f), zero + static_cast<float>(tiles)); };
  const F first = clamp((low - (TILE - 0.5f)) * (1.0f / TILE)), last = clamp((high - 0.5f) * (1.0f / TILE));
  const I up = whole(first), down = whole(last);  // towards zero
  return {vmax(up + select(real(up) < first, one, none), none),
          vmin(down - select(real(down) > last, one, none), none + (tiles - 1))};
}

template <class F>
SW_HD ExtentsOf<F> extents_of(const EllipseOf<F>& s, int tiles_y) {
  const F inverse_r = 1.0f / s.r, radius = vsqrt(s.cut), slope = s.q * inverse_r;
  const F reach = radius * inverse_r + TILE_MARGIN;
  return {tile_spans(s.y - reach, s.y + reach, tiles_y), -(radius * slope / vsqrt(1.0f + slope * slope)) * inverse_r,
          1.0f / s.p};
}

// The columns of tiles touched in one row of them.
template <class F, class I>
SW_HD SpansOf<I> columns_of(const EllipseOf<F>& s, const ExtentsOf<F>& extents, int tiles_x, I row) {
  const F low = real(row) * float(TILE) + 0.5f - s.y, high = low + float(TILE - 1);
  auto edge = [&](F dy, float side) {
    const F inside = vmin(vmax(dy, low), high), v = s.r * inside;
    return s.x + (side * vsqrt(vmax(s.cut - v * v, F{})) - s.q * inside) * extents.inverse_p;
  };
  return tile_spans(edge(-extents.tilt, -1.0f) - TILE_MARGIN, edge(extents.tilt, 1.0f) + TILE_MARGIN, tiles_x);
}

}  // namespace splatworld
