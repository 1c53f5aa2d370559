// Blends the splats of each tile, near to far; the backward pass walks the same way and needs nothing but the finished
// pictures (Brush, 2024).
//
// A tile's row is cut into segments of LANES pixels. For each splat a bit mask says which segments its ellipse meets
// and which still have an unfinished pixel; only those are computed.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

constexpr int PARTS = TILE / LANES;            // segments a row
constexpr int SEGMENTS = TILE * PARTS;         // segment = part * TILE + row
static_assert(TILE % LANES == 0 && SEGMENTS <= 64, "a bit a segment");

struct LaneOffsets {
  FloatV half;  // 0.5, 1.5, ...
  LaneOffsets() {
    for (int i = 0; i < LANES; ++i) half[i] = i + 0.5f;
  }
};
const LaneOffsets OFFSETS;

int row_of(int segment) { return segment % TILE; }
int column_of(int segment) { return segment / TILE * LANES; }

struct TileBox {
  int x, y, columns, rows;

  TileBox(const View& view, long tile) {
    x = static_cast<int>(tile % view.tiles_x()) * TILE;
    y = static_cast<int>(tile / view.tiles_x()) * TILE;
    columns = std::min(TILE, view.width - x);
    rows = std::min(TILE, view.height - y);
  }
  bool contains(int segment) const { return row_of(segment) < rows && column_of(segment) < columns; }
  int width(int segment) const { return std::min(LANES, columns - column_of(segment)); }
};

// A splat's ellipse seen from one tile.
struct Footprint {
  FloatV p_dx[PARTS];
  float dy0;          // dy at the tile's first row
  uint64_t segments;  // those it meets

  Footprint(const Record& s, const TileBox& box) {
    dy0 = box.y + 0.5f - s.y;
    for (int part = 0; part < PARTS; ++part) p_dx[part] = s.p * (OFFSETS.half + (box.x + part * LANES - s.x));
    // Per row: |p dx + q dy| <= sqrt(cut - (r dy)^2). A hundredth of a pixel absorbs rounding; the pixels decide.
    segments = 0;
    const float slack = s.p * 1e-2f;
    for (int block = 0; block < PARTS; ++block) {
      FloatV dy = OFFSETS.half + (dy0 - 0.5f + block * LANES);
      FloatV v = s.r * dy, room = s.cut + 1e-2f - v * v, middle = s.q * dy;
      FloatV half = vsqrt(vmax(room, FloatV{})) + slack;
      for (int part = 0; part < PARTS; ++part) {
        FloatV first = middle + p_dx[part][0], last = middle + p_dx[part][LANES - 1];
        uint64_t meets = bits((room >= FloatV{}) & (first <= half) & (last >= -half));
        segments |= meets << (part * TILE + block * LANES);
      }
    }
  }
};

struct Hit {
  FloatV alpha;  // clamped
  IntV touched;  // alpha >= 1/255
  FloatV u;
  float v;
};

SW_HD Hit evaluate(const Record& s, const Footprint& f, int segment) {
  float dy = f.dy0 + row_of(segment);
  FloatV u = f.p_dx[segment / TILE] + s.q * dy;
  float v = s.r * dy;
  FloatV alpha = vmin(s.opacity * vexp2_unchecked(-(u * u) - v * v), broadcast(ALPHA_MAX));
  return {alpha, alpha >= broadcast(ALPHA_MIN), u, v};
}

// Transmittance: `open` is zero where the pixel is finished, `closed` keeps what it was then.
struct Light {
  FloatV open[SEGMENTS], closed[SEGMENTS];
  uint64_t live = 0;  // segments with an unfinished pixel

  explicit Light(const TileBox& box) {
    for (int segment = 0; segment < SEGMENTS; ++segment) {
      // Pixels beyond the image start out finished.
      float limit = box.contains(segment) ? static_cast<float>(box.width(segment)) : 0.0f;
      open[segment] = select(OFFSETS.half < broadcast(limit), broadcast(1.0f), FloatV{});
      closed[segment] = FloatV{};
      if (limit > 0) live |= uint64_t{1} << segment;
    }
  }

  // Which pixels blend this splat, and its weight there.
  SW_HD IntV blend(int segment, const Hit& hit, FloatV& before, FloatV& weight) {
    before = open[segment];
    FloatV after = before - before * hit.alpha;
    IntV alive = after > broadcast(TRANSMITTANCE_STOP);
    IntV blends = hit.touched & alive;
    weight = select(blends, before * hit.alpha, FloatV{});
    open[segment] = select(hit.touched, select(alive, after, FloatV{}), before);
    IntV stops = hit.touched & mask_not(alive);
    if (any(stops)) {
      closed[segment] = closed[segment] + select(stops, before, FloatV{});
      if (!any(open[segment] > FloatV{})) live &= ~(uint64_t{1} << segment);
    }
    return blends;
  }
};

int64_t pixel_of(const View& view, const TileBox& box, int segment) {
  return static_cast<int64_t>(box.y + row_of(segment)) * view.width + box.x + column_of(segment);
}

FloatV load_pixels(const float* source, int count) {
  FloatV value{};
  std::memcpy(&value, source, count * sizeof(float));
  return value;
}

void load_colors(const float* source, int count, FloatV color[3]) {
  for (int c = 0; c < 3; ++c) color[c] = FloatV{};
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < 3; ++c) color[c][i] = source[3 * i + c];
}

// WITH_DEPTH: the pictures of depth and bodies are wanted too; fits go without.
template <bool WITH_DEPTH>
void blend_tile(const View& view, const TileBox& box, const Record* records, const int32_t* begin, const int32_t* end,
                const float background[3], const Pictures& out) {
  Light light(box);
  FloatV color[SEGMENTS][3], depth[SEGMENTS], median[SEGMENTS];
  IntV body[SEGMENTS];
  for (int segment = 0; segment < SEGMENTS; ++segment) {
    color[segment][0] = color[segment][1] = color[segment][2] = depth[segment] = median[segment] = FloatV{};
    body[segment] = IntV{} - 1;
  }
  for (const int32_t* entry = begin; entry != end && light.live; ++entry) {
    const Record& s = records[*entry];
    Footprint footprint(s, box);
    for (uint64_t todo = footprint.segments & light.live; todo; todo &= todo - 1) {
      int segment = __builtin_ctzll(todo);
      Hit hit = evaluate(s, footprint, segment);
      if (!any(hit.touched)) continue;
      FloatV before, weight;
      light.blend(segment, hit, before, weight);
      for (int c = 0; c < 3; ++c) color[segment][c] = color[segment][c] + weight * s.color[c];
      if (!WITH_DEPTH) continue;
      depth[segment] = depth[segment] + weight * s.depth;
      IntV half = (weight > FloatV{}) & (before > broadcast(0.5f)) & (before - weight <= broadcast(0.5f));
      if (any(half)) {
        median[segment] = select(half, broadcast(s.depth), median[segment]);
        body[segment] = select(half, IntV{} + s.body, body[segment]);
      }
    }
  }
  for (int segment = 0; segment < SEGMENTS; ++segment) {
    if (!box.contains(segment)) continue;
    int64_t pixel = pixel_of(view, box, segment);
    int count = box.width(segment);
    FloatV rest = light.open[segment] + light.closed[segment];
    std::memcpy(out.transmittance + pixel, &rest, count * sizeof(float));
    if (WITH_DEPTH) {
      std::memcpy(out.depth + pixel, &depth[segment], count * sizeof(float));
      std::memcpy(out.median_depth + pixel, &median[segment], count * sizeof(float));
      std::memcpy(out.body_ids + pixel, &body[segment], count * sizeof(int32_t));
    }
    for (int c = 0; c < 3; ++c) {
      FloatV channel = color[segment][c] + rest * background[c];
      for (int i = 0; i < count; ++i) out.image[3 * (pixel + i) + c] = channel[i];
    }
  }
}

// What the pixels of a segment want, and how much of it lies behind what was blended so far.
struct Wanted {
  FloatV color[3], depth, behind;
};

template <bool WITH_DEPTH>
void backward_tile(const View& view, const TileBox& box, const Record* records, const int32_t* splats,
                   const int32_t* slots, int64_t count, const Pictures& pictures, const Pictures& gradients,
                   PairGradient* pair_gradients) {
  Light light(box);
  Wanted wanted[SEGMENTS];
  for (int segment = 0; segment < SEGMENTS; ++segment) {
    if (!box.contains(segment)) continue;
    int64_t pixel = pixel_of(view, box, segment);
    int width = box.width(segment);
    Wanted& want = wanted[segment];
    FloatV image[3];
    load_colors(gradients.image + 3 * pixel, width, want.color);
    load_colors(pictures.image + 3 * pixel, width, image);
    // The image's last term, transmittance * background, is part of what lies behind every splat.
    want.behind = want.color[0] * image[0] + want.color[1] * image[1] + want.color[2] * image[2];
    if (gradients.transmittance)
      want.behind = want.behind + load_pixels(gradients.transmittance + pixel, width) *
                                      load_pixels(pictures.transmittance + pixel, width);
    if (!WITH_DEPTH) continue;
    want.depth = load_pixels(gradients.depth + pixel, width);
    want.behind = want.behind + want.depth * load_pixels(pictures.depth + pixel, width);
  }
  for (int64_t entry = 0; entry < count; ++entry) {
    PairGradient& out = pair_gradients[slots[entry]];
    out = PairGradient{};
    if (!light.live) continue;
    const Record& s = records[splats[entry]];
    Footprint footprint(s, box);
    FloatV moments[6] = {}, color[3] = {}, depth{};
    bool touched = false;
    for (uint64_t todo = footprint.segments & light.live; todo; todo &= todo - 1) {
      int segment = __builtin_ctzll(todo);
      Hit hit = evaluate(s, footprint, segment);
      if (!any(hit.touched)) continue;
      touched = true;
      FloatV before, weight;
      IntV blends = light.blend(segment, hit, before, weight);
      Wanted& want = wanted[segment];
      for (int c = 0; c < 3; ++c) color[c] = color[c] + weight * want.color[c];
      FloatV value = want.color[0] * s.color[0] + want.color[1] * s.color[1] + want.color[2] * s.color[2];
      if (WITH_DEPTH) {
        depth = depth + weight * want.depth;
        value = value + want.depth * s.depth;
      }
      want.behind = want.behind - weight * value;
      // dL/dlog(alpha) = weight * value - alpha / (1 - alpha) * behind; a clamped alpha passes none on.
      FloatV g = weight * value - hit.alpha / (1.0f - hit.alpha) * want.behind;
      g = select(blends & (hit.alpha < broadcast(ALPHA_MAX)), g, FloatV{});
      FloatV g_u = g * hit.u, g_v = g * hit.v;
      moments[0] = moments[0] + g;
      moments[1] = moments[1] + g_u;
      moments[2] = moments[2] + g_v;
      moments[3] = moments[3] + g_u * hit.u;
      moments[4] = moments[4] + g_u * hit.v;
      moments[5] = moments[5] + g_v * hit.v;
    }
    if (!touched) continue;
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
    blend(view, TileBox(view, tile), records, pair_splat + tile_start[tile], pair_splat + tile_start[tile + 1],
          background, out);
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
