// A tile as the blending kernels see it: blocks of LANES pixels, four wide, one vector each. Square blocks waste fewer
// lanes on an ellipse than rows do.
#pragma once

#include <algorithm>

#include "kernels.h"

namespace splatworld {

constexpr int BLOCK_WIDTH = 4, BLOCK_HEIGHT = LANES / BLOCK_WIDTH;
constexpr int BLOCKS_DOWN = TILE / BLOCK_HEIGHT, BLOCKS = TILE / BLOCK_WIDTH * BLOCKS_DOWN;
constexpr int GROUPS = BLOCKS / LANES;

// One bit a block, column by column.
using BlockSet = uint64_t;

inline int first_block(BlockSet set) { return __builtin_ctzll(set); }
inline BlockSet only(int block) { return BlockSet{1} << block; }

// Centres of pixels, counted from the tile's corner.
struct Offsets {
  FloatV x[BLOCKS], y[BLOCKS];       // of each block's pixels
  FloatV left[GROUPS], top[GROUPS];  // of each block's first pixel, LANES blocks a group
  Offsets() {
    for (int block = 0; block < BLOCKS; ++block) {
      const float first_x = block / BLOCKS_DOWN * BLOCK_WIDTH + 0.5f, first_y = block % BLOCKS_DOWN * BLOCK_HEIGHT + 0.5f;
      for (int i = 0; i < LANES; ++i) {
        x[block][i] = first_x + i % BLOCK_WIDTH;
        y[block][i] = first_y + i / BLOCK_WIDTH;
      }
      left[block / LANES][block % LANES] = first_x;
      top[block / LANES][block % LANES] = first_y;
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

// The blocks of a tile that an ellipse meets: where the least u^2 + v^2 of the block, as one rectangle of pixel centres,
// is within the cut. It lies on the column nearest to the splat, or as near to its best place there as the block
// reaches. A hundredth of a pixel absorbs rounding; the pixels decide.
SW_HD BlockSet blocks_met(const Record& s, const Offsets& offsets) {
  const float slack = 1e-2f, tilt = -s.p * s.q / (s.q * s.q + s.r * s.r);
  BlockSet met = 0;
  for (int group = 0; group < GROUPS; ++group) {
    FloatV left = offsets.left[group] - (s.x + slack), right = left + (BLOCK_WIDTH - 1 + 2 * slack);
    FloatV top = offsets.top[group] - s.y, bottom = top + (BLOCK_HEIGHT - 1.0f);
    FloatV nearest = most(left, least(right, FloatV{}));
    FloatV dy = most(top, least(bottom, tilt * nearest));
    FloatV across = s.q * dy, u = most(s.p * left + across, most(-(s.p * right) - across, FloatV{})), v = s.r * dy;
    met |= static_cast<BlockSet>(bits(at_least(broadcast(s.cut + 1e-2f), u * u + v * v))) << (group * LANES);
  }
  return met;
}

// Of BATCH splats' blocks, the splats of each block, one bit a splat: a word has as many splats' sets side by side as
// fit, and these square matrices are transposed.
constexpr int BATCH = 64;
inline void list_by_block(const BlockSet met[BATCH], uint64_t lists[BLOCKS]) {
  for (int i = 0; i < BLOCKS; ++i) {
    lists[i] = 0;
    for (int k = 0; k < BATCH; k += BLOCKS) lists[i] |= met[i + k] << k;
  }
  uint64_t mask = ~uint64_t{0};
  for (int half = 32; half > 0; half /= 2) {
    mask ^= mask << half;
    if (half >= BLOCKS) continue;
    for (int start = 0; start < BLOCKS; start += 2 * half)
      for (int i = start; i < start + half; ++i) {
        uint64_t swap = (lists[i] >> half ^ lists[i + half]) & mask;
        lists[i] ^= swap << half;
        lists[i + half] ^= swap;
      }
  }
}

}  // namespace splatworld
