// Blends the splats of each tile, near to far; the backward pass walks the same way and needs nothing but the finished
// pictures (Brush, 2024).
//
// Forward, each block takes its splats one after another with its pixels in registers, from lists made for BATCH splats
// of the tile at a time. Backward, each splat takes its blocks one after another with its sums in registers.
#include <cstring>

#include "cpu/blocks.h"
#include "cpu/threads.h"

namespace splatworld {
namespace {

constexpr int AHEAD = 16;
const Offsets OFFSETS;

// How much passes through the pixels of a block while they are blended. What would come through if nobody stopped only
// ever falls, so that a pixel is finished where it is below the stop; beyond the image it is 0 from the start.
struct Light {
  FloatV open, passing;  // transmittance, going on past the stop; as it was at the stop

  Light() = default;
  Light(FloatV open, FloatV passing) : open(open), passing(passing) {}
  Light(const View& view, const TileBox& box, int block) {
    passing = broadcast(1.0f);
    open = keep(above(broadcast(static_cast<float>(view.width - box.x)), OFFSETS.x[block]) &
                    above(broadcast(static_cast<float>(view.height - box.y)), OFFSETS.y[block]),
                passing);
  }
  bool live() const { return any(above(open, broadcast(TRANSMITTANCE_STOP))); }
};

// The weight with which each pixel blends a splat of this alpha, 0 where it does not. By reference to single values,
// which compilers keep in registers where they would not keep a struct. From splat to splat there is one product to
// wait for.
SW_HD FloatV blend(FloatV alpha, FloatV& open, MaskV& live) {
  FloatV before = open;
  open = before * (1.0f - alpha);
  live = above(open, broadcast(TRANSMITTANCE_STOP));
  return keep(live, before * alpha);
}

// Fetches what lies across two lines of the cache, as records and pair gradients often do.
template <int WRITE, class T>
SW_HD void prefetch(T* address) {
  __builtin_prefetch(address, WRITE);
  __builtin_prefetch(reinterpret_cast<const char*>(address + 1) - 1, WRITE);
}

// A tile's entries in the lists of all tiles, of which the next tile's follow.
struct Entries {
  const int32_t *splats, *slots;
  int64_t count, listed;

  Entries(const int32_t* pair_splat, const int32_t* pair_slot, const int64_t* tile_start, long tile, int64_t tiles)
      : splats(pair_splat + tile_start[tile]),
        slots(pair_slot ? pair_slot + tile_start[tile] : nullptr),
        count(tile_start[tile + 1] - tile_start[tile]),
        listed(tile_start[tiles] - tile_start[tile]) {}
};

// The next splats of a tile, side by side: records and pair gradients lie in the splats' order, what a tile wants all
// over them.
struct Batch {
  int size;
  Record records[BATCH];  // x and y count from the tile's corner
  BlockSet met[BATCH];

  Batch(const TileBox& box, const Record* all, const Entries& tile, int64_t start)
      : size(static_cast<int>(std::min<int64_t>(BATCH, tile.count - start))) {
    for (int i = 0; i < size; ++i) {
      if (start + i + AHEAD < tile.listed) prefetch<0>(&all[tile.splats[start + i + AHEAD]]);
      Record& own = records[i];
      own = all[tile.splats[start + i]];
      own.x -= box.x;
      own.y -= box.y;
      met[i] = blocks_met(own, OFFSETS);
    }
    std::fill(met + size, met + BATCH, 0);
  }
};

struct Falloff {
  FloatV u, v, alpha;  // alpha is clamped, and 0 below the least that is drawn
};

SW_HD Falloff evaluate(const Record& s, FloatV x, FloatV y) {
  FloatV dx = x - s.x, dy = y - s.y;
  FloatV u = s.p * dx + s.q * dy, v = s.r * dy;
  FloatV alpha = s.opacity * vexp2_unchecked(-(u * u) - v * v);
  return {u, v, keep(at_least(alpha, broadcast(ALPHA_MIN)), least(alpha, broadcast(ALPHA_MAX)))};
}

struct Pixels {
  Light light;
  FloatV color[3], depth, median;
  IntV body;
};

// WITH_DEPTH: the pictures of depth and bodies are wanted too; fits go without.
template <bool WITH_DEPTH>
__attribute__((noinline)) void blend_block(Pixels& pixels, FloatV x, FloatV y, const Record* records, uint64_t list) {
  FloatV open = pixels.light.open, passing = pixels.light.passing, depth = pixels.depth, median = pixels.median;
  FloatV red = pixels.color[0], green = pixels.color[1], blue = pixels.color[2];
  IntV body = pixels.body;
  MaskV live;
  do {
    const Record& s = records[__builtin_ctzll(list)];
    list &= list - 1;
    FloatV before = passing, weight = blend(evaluate(s, x, y).alpha, open, live);
    passing = select(live, open, passing);
    red = red + weight * s.color[0];
    green = green + weight * s.color[1];
    blue = blue + weight * s.color[2];
    if (!WITH_DEPTH) continue;
    depth = depth + weight * s.depth;
    MaskV half = above(before, broadcast(0.5f)) & at_least(broadcast(0.5f), passing);
    median = select(half, broadcast(s.depth), median);
    body = select(half, IntV{} + s.body, body);
  } while (list && any(live));
  pixels = {{open, passing}, {red, green, blue}, depth, median, body};
}

template <bool WITH_DEPTH>
void blend_tile(const View& view, const TileBox& box, const Record* records, const Entries& tile,
                const float background[3], const Pictures& out) {
  Pixels pixels[BLOCKS];
  BlockSet live = 0;
  for (int block = 0; block < BLOCKS; ++block) {
    pixels[block] = {Light(view, box, block), {FloatV{}, FloatV{}, FloatV{}}, FloatV{}, FloatV{}, IntV{} - 1};
    if (pixels[block].light.live()) live |= only(block);
  }
  for (int64_t start = 0; start < tile.count && live; start += BATCH) {
    const Batch batch(box, records, tile, start);
    uint64_t lists[BLOCKS];
    list_by_block(batch.met, lists);
    for (BlockSet todo = live; todo; todo &= todo - 1) {
      const int block = first_block(todo);
      if (!lists[block]) continue;
      blend_block<WITH_DEPTH>(pixels[block], OFFSETS.x[block], OFFSETS.y[block], batch.records, lists[block]);
      if (!pixels[block].light.live()) live &= ~only(block);
    }
  }
  for (int block = 0; block < BLOCKS; ++block) {
    const Pixels& own = pixels[block];
    const FloatV& rest = own.light.passing;
    FloatV color[3];
    for (int c = 0; c < 3; ++c) color[c] = own.color[c] + rest * background[c];
    box.for_rows(view, block, [&](int lane, int64_t pixel, int width) {
      for (int i = 0; i < width; ++i) {
        for (int c = 0; c < 3; ++c) out.image[3 * (pixel + i) + c] = color[c][lane + i];
        out.transmittance[pixel + i] = rest[lane + i];
        if (!WITH_DEPTH) continue;
        out.depth[pixel + i] = own.depth[lane + i];
        out.median_depth[pixel + i] = own.median[lane + i];
        out.body_ids[pixel + i] = own.body[lane + i];
      }
    });
  }
}

// What the pixels of a block want, and how much of it lies behind what was blended so far.
struct Wanted {
  FloatV color[3], depth, behind;
};

template <bool WITH_DEPTH>
Wanted load_wanted(const View& view, const TileBox& box, int block, const Pictures& pictures,
                   const Pictures& gradients) {
  Wanted want{{FloatV{}, FloatV{}, FloatV{}}, FloatV{}, FloatV{}};
  box.for_rows(view, block, [&](int lane, int64_t pixel, int width) {
    for (int i = 0; i < width; ++i) {
      float behind = 0;
      for (int c = 0; c < 3; ++c) {
        float gradient = gradients.image[3 * (pixel + i) + c];
        want.color[c][lane + i] = gradient;
        // The image's last term, transmittance * background, is part of what lies behind every splat.
        behind += gradient * pictures.image[3 * (pixel + i) + c];
      }
      if (gradients.transmittance) behind += gradients.transmittance[pixel + i] * pictures.transmittance[pixel + i];
      if (WITH_DEPTH) {
        want.depth[lane + i] = gradients.depth[pixel + i];
        behind += gradients.depth[pixel + i] * pictures.depth[pixel + i];
      }
      want.behind[lane + i] = behind;
    }
  });
  return want;
}

// Adds what COUNT blocks of a splat give to the sums of its pair. Two at once fill a little of each other's waiting.
template <bool WITH_DEPTH, int COUNT>
SW_HD void gather_blocks(const Record& s, const int blocks[COUNT], FloatV* opens, Wanted* wanted, BlockSet& live,
                         FloatV sums[PAIR_FLOATS]) {
  Falloff hit[COUNT];
  FloatV weight[COUNT], odds[COUNT], g[COUNT];
  MaskV open[COUNT];
  for (int k = 0; k < COUNT; ++k) hit[k] = evaluate(s, OFFSETS.x[blocks[k]], OFFSETS.y[blocks[k]]);
  for (int k = 0; k < COUNT; ++k) {
    weight[k] = blend(hit[k].alpha, opens[blocks[k]], open[k]);
    odds[k] = hit[k].alpha * reciprocal(1.0f - hit[k].alpha);
    if (!any(open[k])) live &= ~only(blocks[k]);
  }
  for (int k = 0; k < COUNT; ++k) {
    Wanted& want = wanted[blocks[k]];
    FloatV value = want.color[0] * s.color[0] + want.color[1] * s.color[1] + want.color[2] * s.color[2];
    for (int c = 0; c < 3; ++c) sums[6 + c] = sums[6 + c] + weight[k] * want.color[c];
    if (WITH_DEPTH) {
      sums[9] = sums[9] + weight[k] * want.depth;
      value = value + want.depth * s.depth;
    }
    want.behind = want.behind - weight[k] * value;
    // dL/dlog(alpha) = weight * value - alpha / (1 - alpha) * behind; a clamped alpha passes none on.
    g[k] = keep(open[k] & above(broadcast(ALPHA_MAX), hit[k].alpha), weight[k] * value - odds[k] * want.behind);
  }
  for (int k = 0; k < COUNT; ++k) {
    FloatV u = hit[k].u, v = hit[k].v, g_u = g[k] * u, g_v = g[k] * v;
    sums[0] = sums[0] + g[k];
    sums[1] = sums[1] + g_u;
    sums[2] = sums[2] + g_v;
    sums[3] = sums[3] + g_u * u;
    sums[4] = sums[4] + g_u * v;
    sums[5] = sums[5] + g_v * v;
  }
}

template <bool WITH_DEPTH>
void backward_tile(const View& view, const TileBox& box, const Record* records, const Entries& tile,
                   const Pictures& pictures, const Pictures& gradients, PairGradient* pair_gradients) {
  FloatV opens[BLOCKS];
  Wanted wanted[BLOCKS];
  BlockSet live = 0;
  for (int block = 0; block < BLOCKS; ++block) {
    Light light(view, box, block);
    opens[block] = light.open;
    wanted[block] = load_wanted<WITH_DEPTH>(view, box, block, pictures, gradients);
    if (light.live()) live |= only(block);
  }
  int64_t start = 0;
  for (; start < tile.count && live; start += BATCH) {
    const Batch batch(box, records, tile, start);
    for (int i = 0; i < batch.size; ++i) {
      if (start + i + AHEAD < tile.listed) prefetch<1>(&pair_gradients[tile.slots[start + i + AHEAD]]);
      BlockSet met = batch.met[i] & live;
      FloatV sums[PAIR_FLOATS] = {};
      while (met) {
        int blocks[2] = {first_block(met)};
        met &= met - 1;
        if (!met) {
          gather_blocks<WITH_DEPTH, 1>(batch.records[i], blocks, opens, wanted, live, sums);
          break;
        }
        blocks[1] = first_block(met);
        met &= met - 1;
        gather_blocks<WITH_DEPTH, 2>(batch.records[i], blocks, opens, wanted, live, sums);
      }
      sum_lanes<PAIR_FLOATS>(sums, reinterpret_cast<float*>(&pair_gradients[tile.slots[start + i]]));
    }
  }
  for (; start < tile.count; ++start) pair_gradients[tile.slots[start]] = PairGradient{};
}

}  // namespace

void rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
               const float background[3], const Pictures& out) {
  auto blend = out.depth ? blend_tile<true> : blend_tile<false>;
  const long tiles = static_cast<long>(view.tiles_x()) * view.tiles_y();
  parallel_for(tiles, [&](long tile) {
    blend(view, TileBox(view, tile), records, Entries(pair_splat, nullptr, tile_start, tile, tiles), background, out);
  });
}

void rasterize_tiles(const View& view, int64_t tiles, const int32_t* tile_ids, const Record* records,
                     const int32_t* pair_splat, const int64_t* tile_start, const float background[3],
                     const Pictures& out) {
  auto blend = out.depth ? blend_tile<true> : blend_tile<false>;
  parallel_for(static_cast<long>(tiles), [&](long entry) {
    blend(view, TileBox(view, tile_ids[entry]), records, Entries(pair_splat, nullptr, tile_start, entry, tiles),
          background, out);
  });
}

void rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat, const int32_t* pair_slot,
                        const int64_t* tile_start, const Pictures& pictures, const Pictures& gradients,
                        PairGradient* pair_gradients) {
  auto backward = gradients.depth ? backward_tile<true> : backward_tile<false>;
  const long tiles = static_cast<long>(view.tiles_x()) * view.tiles_y();
  parallel_for(tiles, [&](long tile) {
    backward(view, TileBox(view, tile), records, Entries(pair_splat, pair_slot, tile_start, tile, tiles), pictures,
             gradients, pair_gradients);
  });
}

}  // namespace splatworld
