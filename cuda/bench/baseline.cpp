// The plain rasterizer: the same records, lists and gates as cpu/rasterize.cpp, one thread, one pixel after the other,
// one splat after the other. A pixel leaves its list as soon as it is finished, and no exponential is taken beyond a
// splat's cut.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/bench.h"
#include "cpu/blocks.h"

namespace splatworld {
namespace {

// The tile's records side by side, near to far, as its pixels read them.
struct Tile {
  int left, top, right, bottom;
  int64_t begin, end;
  std::vector<Record> splats;

  void load(const View& view, long index, const Record* records, const int32_t* pair_splat,
            const int64_t* tile_start) {
    left = static_cast<int>(index % view.tiles_x()) * TILE;
    top = static_cast<int>(index / view.tiles_x()) * TILE;
    right = std::min(left + TILE, view.width);
    bottom = std::min(top + TILE, view.height);
    begin = tile_start[index];
    end = tile_start[index + 1];
    splats.clear();
    for (int64_t entry = begin; entry < end; ++entry) splats.push_back(records[pair_splat[entry]]);
  }
};

// Calls visit(tile) for each, visit having all its pixels to do.
template <class Visit>
void for_each_tile(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
                   Visit visit) {
  Tile tile;
  for (long index = 0; index < static_cast<long>(view.tiles_x()) * view.tiles_y(); ++index) {
    tile.load(view, index, records, pair_splat, tile_start);
    visit(tile);
  }
}

struct Blend {
  float alpha, u, v, before, weight;
};

// Calls blend(place in the list, Blend) for each splat that the pixel blends; returns the transmittance that is left.
template <class Visit>
float walk(const std::vector<Record>& splats, int column, int row, Visit visit) {
  const float x = column + 0.5f, y = row + 0.5f;
  float light = 1.0f;
  for (size_t k = 0; k < splats.size(); ++k) {
    const Record& s = splats[k];
    float dy = y - s.y;
    float u = s.p * (x - s.x) + s.q * dy, v = s.r * dy;
    float power = u * u + v * v;
    if (power > s.cut) continue;
    float alpha = std::min(s.opacity * std::exp2(-power), ALPHA_MAX);
    if (alpha < ALPHA_MIN) continue;
    float weight = light * alpha, after = light - weight;
    if (after <= TRANSMITTANCE_STOP) break;
    visit(k, Blend{alpha, u, v, light, weight});
    light = after;
  }
  return light;
}

template <bool WITH_DEPTH>
void blend_pixel(const Tile& tile, int64_t pixel, int column, int row, const float background[3],
                 const Pictures& out) {
  float color[3] = {}, depth = 0, median = 0;
  int32_t body = -1;
  float rest = walk(tile.splats, column, row, [&](size_t k, const Blend& b) {
    const Record& s = tile.splats[k];
    for (int c = 0; c < 3; ++c) color[c] += b.weight * s.color[c];
    if (!WITH_DEPTH) return;
    depth += b.weight * s.depth;
    if (b.before > 0.5f && b.before - b.weight <= 0.5f) {
      median = s.depth;
      body = s.body;
    }
  });
  for (int c = 0; c < 3; ++c) out.image[3 * pixel + c] = color[c] + rest * background[c];
  out.transmittance[pixel] = rest;
  if (!WITH_DEPTH) return;
  out.depth[pixel] = depth;
  out.median_depth[pixel] = median;
  out.body_ids[pixel] = body;
}

template <bool WITH_DEPTH>
void backward_pixel(const Tile& tile, int64_t pixel, int column, int row, const Pictures& pictures,
                    const Pictures& gradients, PairGradient* sums) {
  const float* wanted = gradients.image + 3 * pixel;
  const float* image = pictures.image + 3 * pixel;
  float behind = wanted[0] * image[0] + wanted[1] * image[1] + wanted[2] * image[2];
  if (gradients.transmittance) behind += gradients.transmittance[pixel] * pictures.transmittance[pixel];
  float wanted_depth = 0;
  if (WITH_DEPTH) {
    wanted_depth = gradients.depth[pixel];
    behind += wanted_depth * pictures.depth[pixel];
  }
  walk(tile.splats, column, row, [&](size_t k, const Blend& b) {
    const Record& s = tile.splats[k];
    PairGradient& sum = sums[k];
    float value = wanted[0] * s.color[0] + wanted[1] * s.color[1] + wanted[2] * s.color[2];
    for (int c = 0; c < 3; ++c) sum.color[c] += b.weight * wanted[c];
    if (WITH_DEPTH) {
      value += wanted_depth * s.depth;
      sum.depth += b.weight * wanted_depth;
    }
    behind -= b.weight * value;
    if (b.alpha >= ALPHA_MAX) return;
    float g = b.weight * value - b.alpha / (1.0f - b.alpha) * behind;
    float g_u = g * b.u, g_v = g * b.v;
    sum.moments[0] += g;
    sum.moments[1] += g_u;
    sum.moments[2] += g_v;
    sum.moments[3] += g_u * b.u;
    sum.moments[4] += g_u * b.v;
    sum.moments[5] += g_v * b.v;
  });
}

}  // namespace

void plain_rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
                     const float background[3], const Pictures& out) {
  auto blend = out.depth ? blend_pixel<true> : blend_pixel<false>;
  for_each_tile(view, records, pair_splat, tile_start, [&](const Tile& tile) {
    for (int row = tile.top; row < tile.bottom; ++row)
      for (int column = tile.left; column < tile.right; ++column)
        blend(tile, static_cast<int64_t>(row) * view.width + column, column, row, background, out);
  });
}

void plain_rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat,
                              const int32_t* pair_slot, const int64_t* tile_start, const Pictures& pictures,
                              const Pictures& gradients, PairGradient* pair_gradients) {
  auto backward = gradients.depth ? backward_pixel<true> : backward_pixel<false>;
  std::vector<PairGradient> sums;
  for_each_tile(view, records, pair_splat, tile_start, [&](const Tile& tile) {
    sums.assign(tile.splats.size(), PairGradient{});
    for (int row = tile.top; row < tile.bottom; ++row)
      for (int column = tile.left; column < tile.right; ++column)
        backward(tile, static_cast<int64_t>(row) * view.width + column, column, row, pictures, gradients, sums.data());
    for (size_t k = 0; k < sums.size(); ++k) pair_gradients[pair_slot[tile.begin + k]] = sums[k];
  });
}

BlendedPairs count_blended(const View& view, const Record* records, const int32_t* pair_splat,
                           const int64_t* tile_start) {
  BlendedPairs total{};
  std::vector<uint64_t> met;  // a bit a block of the tile
  for_each_tile(view, records, pair_splat, tile_start, [&](const Tile& tile) {
    met.assign(tile.splats.size(), 0);
    for (int row = tile.top; row < tile.bottom; ++row)
      for (int column = tile.left; column < tile.right; ++column)
        walk(tile.splats, column, row, [&](size_t k, const Blend&) {
          ++total.pixels;
          met[k] |= uint64_t{1} << ((column - tile.left) / BLOCK_WIDTH * TILE + (row - tile.top) / BLOCK_HEIGHT * BLOCK_HEIGHT);
        });
    for (uint64_t blocks : met) total.blocks += __builtin_popcountll(blocks);
  });
  return total;
}

}  // namespace splatworld
