// A tile as the blending kernels see it: blocks of LANES pixels, four wide, one vector each. Square blocks waste fewer
// lanes on an ellipse than rows do.
#pragma once

#include <algorithm>

#include "kernels.h"

namespace splatworld {

constexpr int BLOCK_WIDTH = 4, BLOCK_HEIGHT = LANES / BLOCK_WIDTH;
constexpr int BLOCKS_DOWN = TILE / BLOCK_HEIGHT, BLOCKS = TILE / BLOCK_WIDTH * BLOCKS_DOWN;
static_assert(TILE * TILE / BLOCK_WIDTH == 64, "a bit for every row of a block");

// One bit a block, at 16 * (its column) + (its first row).
using BlockSet = uint64_t;
constexpr BlockSet ALL_BLOCKS = BLOCK_HEIGHT == 4   ? 0x1111111111111111u
                                : BLOCK_HEIGHT == 2 ? 0x5555555555555555u
                                                    : ~BlockSet{0};

inline int first_block(BlockSet set) { return __builtin_ctzll(set) / BLOCK_HEIGHT; }
inline BlockSet only(int block) { return BlockSet{1} << (block * BLOCK_HEIGHT); }

struct LaneOffsets {
  FloatV x, y, line;  // centre of each lane's pixel in its block; in a row of pixels
  LaneOffsets() {
    for (int i = 0; i < LANES; ++i) {
      x[i] = i % BLOCK_WIDTH + 0.5f;
      y[i] = i / BLOCK_WIDTH + 0.5f;
      line[i] = i + 0.5f;
    }
  }
};

struct TileBox {
  int x, y, columns, rows;

  TileBox(const View& view, long tile) {
    x = static_cast<int>(tile % view.tiles_x()) * TILE;
    y = static_cast<int>(tile / view.tiles_x()) * TILE;
    columns = std::min(TILE, view.width - x);
    rows = std::min(TILE, view.height - y);
  }
  int block_x(int block) const { return x + block / BLOCKS_DOWN * BLOCK_WIDTH; }
  int block_y(int block) const { return y + block % BLOCKS_DOWN * BLOCK_HEIGHT; }

  // Calls use(lane, pixel, count) for each row of a block that lies in the image.
  template <class Use>
  void for_rows(const View& view, int block, Use&& use) const {
    int left = block_x(block), top = block_y(block);
    int count = std::min(BLOCK_WIDTH, view.width - left), rows_left = std::min(BLOCK_HEIGHT, view.height - top);
    for (int row = 0; count > 0 && row < rows_left; ++row)
      use(row * BLOCK_WIDTH, static_cast<int64_t>(top + row) * view.width + left, count);
  }
};

// The blocks of a tile that an ellipse meets. Per row: |p dx + q dy| <= sqrt(cut - (r dy)^2). A hundredth of a pixel
// absorbs rounding; the pixels decide.
SW_HD BlockSet blocks_met(const Record& s, const TileBox& box, FloatV line) {
  const float slack = s.p * 1e-2f, x0 = box.x + 0.5f - s.x, y0 = box.y - s.y;
  BlockSet met = 0;
  for (int row = 0; row < TILE; row += LANES) {
    FloatV dy = line + (y0 + row);
    FloatV v = s.r * dy, room = s.cut + 1e-2f - v * v, middle = s.q * dy;
    FloatV half = vsqrt(vmax(room, FloatV{})) + slack;
    FloatV low = -half - middle, high = half - middle;
    MaskV inside = at_least(room, FloatV{});
    for (int left = 0; left < TILE; left += BLOCK_WIDTH) {
      float first = s.p * (x0 + left), last = first + (BLOCK_WIDTH - 1) * s.p;
      MaskV meets = inside & at_least(high, broadcast(first)) & at_least(broadcast(last), low);
      met |= static_cast<BlockSet>(bits(meets)) << (left / BLOCK_WIDTH * TILE + row);
    }
  }
  for (int step = 1; step < BLOCK_HEIGHT; step *= 2) met |= met >> step;
  return met & ALL_BLOCKS;
}

}  // namespace splatworld
