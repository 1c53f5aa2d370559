// A tile as a block of threads sees it.
#pragma once

#include "gpu/passes.h"
#include "math/blend.h"

namespace splatworld::gpu {

constexpr int TILE_THREADS = TILE * TILE;
constexpr uint32_t FULL = 0xffffffffu;
constexpr int WARP_WIDTH = 8, WARP_HEIGHT = 4;  // pixels of a warp

// A thread's pixel. x and y are of its centre, from the tile's corner.
struct Place {
  int warp, lane, left, top;
  float x, y;
  int64_t pixel;
  bool inside;

  __device__ explicit Place(const Views& views) {
    const int tile = blockIdx.x % views.tiles(), view = blockIdx.x / views.tiles();
    warp = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    left = tile % views.tiles_x() * TILE;
    top = tile / views.tiles_x() * TILE;
    const int column = warp_left(warp) + lane % WARP_WIDTH, row = warp_top(warp) + lane / WARP_WIDTH;
    x = column + 0.5f;
    y = row + 0.5f;
    inside = left + column < views.width && top + row < views.height;
    pixel = view * views.pixels() + static_cast<int64_t>(top + row) * views.width + left + column;
  }
  __device__ static int warp_left(int warp) { return warp % (TILE / WARP_WIDTH) * WARP_WIDTH; }
  __device__ static int warp_top(int warp) { return warp / (TILE / WARP_WIDTH) * WARP_HEIGHT; }
};

// The next splats of a tile; x and y count from its corner. met: a bit for each warp whose pixels the splat meets.
template <int SIZE>
struct Batch {
  Record records[SIZE];
  uint8_t met[SIZE];

  __device__ void load(const Place& place, const Record* all, const int32_t* pair_splat, int64_t start, int64_t end) {
    const int i = threadIdx.x;
    if (i >= SIZE) return;
    uint8_t warps = 0;
    if (start + i < end) {
      Record own = all[pair_splat[start + i]];
      own.x -= place.left;
      own.y -= place.top;
      for (int warp = 0; warp < TILE_THREADS / 32; ++warp)
        if (meets_block(own.p, own.q, own.r, own.cut, Place::warp_left(warp) + 0.5f - own.x,
                        Place::warp_top(warp) + 0.5f - own.y, WARP_WIDTH - 1.0f, WARP_HEIGHT - 1.0f))
          warps |= static_cast<uint8_t>(1u << warp);
      records[i] = own;
    }
    met[i] = warps;
  }
  // Of 32 splats from `group` on those that a warp has to blend, a bit each.
  __device__ uint32_t met_by(const Place& place, int group) const {
    return __ballot_sync(FULL, met[group + place.lane] >> place.warp & 1);
  }
};

}  // namespace splatworld::gpu
