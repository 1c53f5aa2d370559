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

constexpr int BATCH = 256, AHEAD = 8;
const LaneOffsets OFFSETS;

// Pixels of a block while they are blended. Those that are finished, or beyond the image, are no longer live.
struct Light {
  FloatV passing;  // transmittance
  MaskV live;

  Light() = default;
  Light(FloatV passing, MaskV live) : passing(passing), live(live) {}
  Light(const View& view, const TileBox& box, int block) {
    passing = broadcast(1.0f);
    live = above(broadcast(static_cast<float>(view.width - box.block_x(block))), OFFSETS.x) &
           above(broadcast(static_cast<float>(view.height - box.block_y(block))), OFFSETS.y);
  }
};

// The weight with which each pixel blends a splat of this alpha, 0 where it does not. By reference to single values,
// which compilers keep in registers where they would not keep a struct.
SW_HD FloatV blend(FloatV alpha, FloatV& passing, MaskV& live) {
  FloatV weight = keep(live & at_least(alpha, broadcast(ALPHA_MIN)), passing * alpha);
  FloatV after = passing - weight;
  live = live & above(after, broadcast(TRANSMITTANCE_STOP));
  passing = select(live, after, passing);
  return keep(live, weight);
}

// Records and pair gradients lie in the splats' order, what a tile wants all over them.
template <int WRITE, class T>
SW_HD void prefetch(T* base, const int32_t* indices, int64_t entry, int64_t count) {
  if (entry + AHEAD < count) __builtin_prefetch(&base[indices[entry + AHEAD]], WRITE);
}

struct Falloff {
  FloatV u, v, alpha;  // alpha is clamped
};

SW_HD Falloff evaluate(const Record& s, FloatV x, FloatV y) {
  FloatV dx = x - s.x, dy = y - s.y;
  FloatV u = s.p * dx + s.q * dy, v = s.r * dy;
  return {u, v, vmin(s.opacity * vexp2_unchecked(-(u * u) - v * v), broadcast(ALPHA_MAX))};
}

struct Pixels {
  Light light;
  FloatV color[3], depth, median;
  IntV body;
};

// WITH_DEPTH: the pictures of depth and bodies are wanted too; fits go without.
template <bool WITH_DEPTH>
void blend_block(Pixels& pixels, float left, float top, const Record* records, const int32_t* splats,
                 const uint16_t* list, int count) {
  FloatV passing = pixels.light.passing, depth = pixels.depth, median = pixels.median;
  FloatV red = pixels.color[0], green = pixels.color[1], blue = pixels.color[2];
  MaskV live = pixels.light.live;
  IntV body = pixels.body;
  const FloatV x = OFFSETS.x + left, y = OFFSETS.y + top;
  for (int i = 0; i < count && any(live); ++i) {
    const Record& s = records[splats[list[i]]];
    FloatV before = passing, weight = blend(evaluate(s, x, y).alpha, passing, live);
    red = red + weight * s.color[0];
    green = green + weight * s.color[1];
    blue = blue + weight * s.color[2];
    if (!WITH_DEPTH) continue;
    depth = depth + weight * s.depth;
    MaskV half = above(before, broadcast(0.5f)) & at_least(broadcast(0.5f), passing);
    median = select(half, broadcast(s.depth), median);
    body = select(half, IntV{} + s.body, body);
  }
  pixels = {{passing, live}, {red, green, blue}, depth, median, body};
}

template <bool WITH_DEPTH>
void blend_tile(const View& view, const TileBox& box, const Record* records, const int32_t* splats, int64_t count,
                const float background[3], const Pictures& out) {
  Pixels pixels[BLOCKS];
  BlockSet live = 0;
  for (int block = 0; block < BLOCKS; ++block) {
    pixels[block] = {Light(view, box, block), {FloatV{}, FloatV{}, FloatV{}}, FloatV{}, FloatV{}, IntV{} - 1};
    if (any(pixels[block].light.live)) live |= only(block);
  }
  for (int64_t start = 0; start < count && live; start += BATCH) {
    const int32_t* batch = splats + start;
    const int size = static_cast<int>(std::min<int64_t>(BATCH, count - start));
    BlockSet met[BATCH];
    for (int i = 0; i < size; ++i) {
      prefetch<0>(records, batch, i, size);
      met[i] = blocks_met(records[batch[i]], box, OFFSETS.line);
    }
    for (BlockSet todo = live; todo; todo &= todo - 1) {
      const int block = first_block(todo), shift = block * BLOCK_HEIGHT;
      uint16_t list[BATCH];
      int length = 0;
      for (int i = 0; i < size; ++i) {  // without a branch, which would be wrong half the time
        list[length] = static_cast<uint16_t>(i);
        length += static_cast<int>(met[i] >> shift & 1);
      }
      blend_block<WITH_DEPTH>(pixels[block], box.block_x(block), box.block_y(block), records, batch, list, length);
      if (!any(pixels[block].light.live)) live &= ~only(block);
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

template <bool WITH_DEPTH>
void backward_tile(const View& view, const TileBox& box, const Record* records, const int32_t* splats,
                   const int32_t* slots, int64_t count, const Pictures& pictures, const Pictures& gradients,
                   PairGradient* pair_gradients) {
  Light lights[BLOCKS];
  Wanted wanted[BLOCKS];
  BlockSet live = 0;
  for (int block = 0; block < BLOCKS; ++block) {
    lights[block] = Light(view, box, block);
    wanted[block] = load_wanted<WITH_DEPTH>(view, box, block, pictures, gradients);
    if (any(lights[block].live)) live |= only(block);
  }
  for (int64_t entry = 0; entry < count; ++entry) {
    prefetch<0>(records, splats, entry, count);
    prefetch<1>(pair_gradients, slots, entry, count);
    PairGradient& out = pair_gradients[slots[entry]];
    out = PairGradient{};
    const Record& s = records[splats[entry]];
    BlockSet met = live ? blocks_met(s, box, OFFSETS.line) & live : 0;
    if (!met) continue;
    FloatV moments[6] = {}, color[3] = {}, depth{};
    for (; met; met &= met - 1) {
      int block = first_block(met);
      Light& light = lights[block];
      Wanted& want = wanted[block];
      float left = box.block_x(block), top = box.block_y(block);
      Falloff hit = evaluate(s, OFFSETS.x + left, OFFSETS.y + top);
      FloatV weight = blend(hit.alpha, light.passing, light.live);
      if (!any(light.live)) live &= ~only(block);
      FloatV value = want.color[0] * s.color[0] + want.color[1] * s.color[1] + want.color[2] * s.color[2];
      for (int c = 0; c < 3; ++c) color[c] = color[c] + weight * want.color[c];
      if (WITH_DEPTH) {
        depth = depth + weight * want.depth;
        value = value + want.depth * s.depth;
      }
      want.behind = want.behind - weight * value;
      // dL/dlog(alpha) = weight * value - alpha / (1 - alpha) * behind; a clamped alpha passes none on.
      FloatV g = weight * value - hit.alpha / (1.0f - hit.alpha) * want.behind;
      g = keep(above(weight, FloatV{}) & above(broadcast(ALPHA_MAX), hit.alpha), g);
      FloatV g_u = g * hit.u, g_v = g * hit.v;
      moments[0] = moments[0] + g;
      moments[1] = moments[1] + g_u;
      moments[2] = moments[2] + g_v;
      moments[3] = moments[3] + g_u * hit.u;
      moments[4] = moments[4] + g_u * hit.v;
      moments[5] = moments[5] + g_v * hit.v;
    }
    for (int k = 0; k < 6; ++k) out.moments[k] = sum(moments[k]);
    for (int c = 0; c < 3; ++c) out.color[c] = sum(color[c]);
    if (WITH_DEPTH) out.depth = sum(depth);
  }
}

}  // namespace

void rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
               const float background[3], const Pictures& out) {
  auto blend = out.depth ? blend_tile<true> : blend_tile<false>;
  parallel_for(static_cast<long>(view.tiles_x()) * view.tiles_y(), [&](long tile) {
    blend(view, TileBox(view, tile), records, pair_splat + tile_start[tile], tile_start[tile + 1] - tile_start[tile],
          background, out);
  });
}

void rasterize_tiles(const View& view, int64_t tiles, const int32_t* tile_ids, const Record* records,
                     const int32_t* pair_splat, const int64_t* tile_start, const float background[3],
                     const Pictures& out) {
  auto blend = out.depth ? blend_tile<true> : blend_tile<false>;
  parallel_for(static_cast<long>(tiles), [&](long entry) {
    blend(view, TileBox(view, tile_ids[entry]), records, pair_splat + tile_start[entry],
          tile_start[entry + 1] - tile_start[entry], background, out);
  });
}

void rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat, const int32_t* pair_slot,
                        const int64_t* tile_start, const Pictures& pictures, const Pictures& gradients,
                        PairGradient* pair_gradients) {
  auto backward = gradients.depth ? backward_tile<true> : backward_tile<false>;
  parallel_for(static_cast<long>(view.tiles_x()) * view.tiles_y(), [&](long tile) {
    int64_t start = tile_start[tile];
    backward(view, TileBox(view, tile), records, pair_splat + start, pair_slot + start, tile_start[tile + 1] - start,
             pictures, gradients, pair_gradients);
  });
}

}  // namespace splatworld
