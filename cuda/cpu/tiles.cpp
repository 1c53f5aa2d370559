// SnugBox and AccuTile of Speedy-Splat (Hanson et al., 2025): the opacity-aware extent, cut row by row.
#include "cpu/tiles.h"

#include <algorithm>
#include <cmath>

namespace splatworld {
namespace {

// px; absorbs rounding. Whether a pixel is touched is decided per pixel, later.
constexpr float MARGIN = 1e-2f;

// Tiles whose pixel centres (0.5 to TILE - 0.5 from the tile's corner) meet [low, high] px.
TileSpan span(float low, float high, int tiles) {
  auto clamp = [&](float tile) { return static_cast<int>(std::min(std::max(tile, -1.0f), static_cast<float>(tiles))); };
  int first = clamp(std::ceil((low - (TILE - 0.5f)) / TILE));
  int last = clamp(std::floor((high - 0.5f) / TILE));
  return {std::max(first, 0), std::min(last, tiles - 1)};
}

}  // namespace

Extent tile_extent(const Record& s, const View& view) {
  float inverse_r = 1.0f / s.r, radius = std::sqrt(s.cut), slope = s.q * inverse_r;
  float reach = radius * inverse_r + MARGIN;
  return {span(s.y - reach, s.y + reach, view.tiles_y()),
          -(radius * slope / std::sqrt(1.0f + slope * slope)) * inverse_r, 1.0f / s.p};
}

TileSpan tile_columns(const Record& s, const Extent& extent, const View& view, int row) {
  float low = row * TILE + 0.5f - s.y, high = low + (TILE - 1);
  auto edge = [&](float dy, float side) {
    float inside = std::min(std::max(dy, low), high), v = s.r * inside;
    return s.x + (side * std::sqrt(std::max(s.cut - v * v, 0.0f)) - s.q * inside) * extent.inverse_p;
  };
  return span(edge(-extent.tilt, -1.0f) - MARGIN, edge(extent.tilt, 1.0f) + MARGIN, view.tiles_x());
}

}  // namespace splatworld
