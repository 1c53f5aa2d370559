#include "cpu/tiles.h"

namespace splatworld {

Extents tile_extents(const Ellipses& ellipses, const View& view) { return extents_of(ellipses, view.tiles_y()); }

TileSpans tile_columns(const Ellipses& ellipses, const Extents& extents, const View& view, IntV row) {
  return columns_of(ellipses, extents, view.tiles_x(), row);
}

}  // namespace splatworld
