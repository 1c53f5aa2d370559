// SnugBox and AccuTile of Speedy-Splat (Hanson et al., 2025): the opacity-aware extent, cut row by row.
#include "cpu/tiles.h"

namespace splatworld {
namespace {

// px; absorbs rounding. Whether a pixel is touched is decided per pixel, later.
constexpr float MARGIN = 1e-2f;

// Tiles whose pixel centres (0.5 to TILE - 0.5 from the tile's corner) meet [low, high] px.
SW_HD TileSpans spans(FloatV low, FloatV high, int tiles) {
  auto clamp = [&](FloatV tile) { return vmin(vmax(tile, broadcast(-1.0f)), broadcast(static_cast<float>(tiles))); };
  FloatV first = clamp((low - (TILE - 0.5f)) * (1.0f / TILE)), last = clamp((high - 0.5f) * (1.0f / TILE));
  auto whole = [](FloatV tile) { return __builtin_convertvector(tile, IntV); };  // towards zero
  auto back = [](IntV tile) { return __builtin_convertvector(tile, FloatV); };
  IntV up = whole(first), down = whole(last);
  up -= back(up) < first;  // masks are -1
  down += back(down) > last;
  return {vmax(up, IntV{}), vmin(down, IntV{} + (tiles - 1))};
}

}  // namespace

Extents tile_extents(const Ellipses& s, const View& view) {
  FloatV inverse_r = 1.0f / s.r, radius = vsqrt(s.cut), slope = s.q * inverse_r;
  FloatV reach = radius * inverse_r + MARGIN;
  return {spans(s.y - reach, s.y + reach, view.tiles_y()),
          -(radius * slope / vsqrt(1.0f + slope * slope)) * inverse_r, 1.0f / s.p};
}

TileSpans tile_columns(const Ellipses& s, const Extents& extents, const View& view, IntV row) {
  FloatV low = __builtin_convertvector(row, FloatV) * TILE + 0.5f - s.y, high = low + (TILE - 1);
  auto edge = [&](FloatV dy, float side) {
    FloatV inside = vmin(vmax(dy, low), high), v = s.r * inside;
    return s.x + (side * vsqrt(vmax(s.cut - v * v, FloatV{})) - s.q * inside) * extents.inverse_p;
  };
  return spans(edge(-extents.tilt, -1.0f) - MARGIN, edge(extents.tilt, 1.0f) + MARGIN, view.tiles_x());
}

}  // namespace splatworld
