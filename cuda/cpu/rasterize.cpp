// Blends the splats of each tile, near to far, a row of sixteen pixels at a time; the backward pass walks the same way
// and needs nothing but the finished pictures (Brush, 2024).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

static_assert(TILE == LANES, "one vector holds a row of a tile");

const Float16 COLUMN = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f,
                        8.5f, 9.5f, 10.5f, 11.5f, 12.5f, 13.5f, 14.5f, 15.5f};

struct TileBox {
  int x, y, columns, rows;
};

TileBox tile_box(const View& view, long tile) {
  int x = static_cast<int>(tile % view.tiles_x()) * TILE, y = static_cast<int>(tile / view.tiles_x()) * TILE;
  return {x, y, std::min(TILE, view.width - x), std::min(TILE, view.height - y)};
}

// A splat's footprint in one tile.
struct Footprint {
  Float16 p_dx;
  float dy0;  // dy at the tile's first row
  int first_row, last_row;

  Footprint(const Record& s, const TileBox& box) {
    p_dx = s.p * (COLUMN + (box.x - s.x));
    dy0 = box.y + 0.5f - s.y;
    float reach = std::sqrt(s.cut) / s.r;
    first_row = static_cast<int>(std::ceil(std::max(-reach - dy0, 0.0f)));
    last_row = static_cast<int>(std::floor(std::min(reach - dy0, static_cast<float>(box.rows - 1))));
  }
};

struct Hit {
  Float16 alpha;  // clamped
  Int16 touched;  // alpha >= 1/255
  Float16 u;
  float v;
};

SW_HD Hit evaluate(const Record& s, const Footprint& f, float dy) {
  Float16 u = f.p_dx + s.q * dy;
  float v = s.r * dy;
  Float16 alpha = s.opacity * vexp2(-(u * u) - v * v);
  alpha = vmin(alpha, broadcast(ALPHA_MAX));
  return {alpha, alpha >= broadcast(ALPHA_MIN), u, v};
}

// Transmittance of a row: `open` is zero where the pixel is finished, `closed` keeps what it was then.
struct Transmittance {
  Float16 open[TILE], closed[TILE];
  uint32_t live;  // a bit a row, cleared when all its pixels are finished

  explicit Transmittance(const TileBox& box) {
    live = (1u << box.rows) - 1u;
    for (int row = 0; row < TILE; ++row) {
      // Pixels beyond the image start out finished.
      open[row] = select(COLUMN < broadcast(static_cast<float>(box.columns)), broadcast(1.0f), Float16{});
      closed[row] = Float16{};
    }
  }

  // The mask of pixels that blend this splat, and its weight there.
  SW_HD Int16 blend(int row, const Hit& hit, Float16& before, Float16& weight) {
    before = open[row];
    Float16 after = before - before * hit.alpha;
    Int16 alive = after > broadcast(TRANSMITTANCE_STOP);
    Int16 blends = hit.touched & alive;
    weight = select(blends, before * hit.alpha, Float16{});
    open[row] = select(hit.touched, select(alive, after, Float16{}), before);
    Int16 stops = hit.touched & mask_not(alive);
    if (any(stops)) {
      closed[row] = closed[row] + select(stops, before, Float16{});
      if (!any(open[row] > Float16{})) live &= ~(1u << row);
    }
    return blends;
  }
};

void store_row(float* target, int columns, Float16 value) { std::memcpy(target, &value, columns * sizeof(float)); }

Float16 load_row(const float* source, int columns) {
  Float16 value{};
  std::memcpy(&value, source, columns * sizeof(float));
  return value;
}

void load_colors(const float* source, int columns, Float16 color[3]) {
  for (int c = 0; c < 3; ++c) color[c] = Float16{};
  for (int i = 0; i < columns; ++i)
    for (int c = 0; c < 3; ++c) color[c][i] = source[3 * i + c];
}

void blend_tile(const View& view, const TileBox& box, const Record* records, const int32_t* begin, const int32_t* end,
                const float background[3], const Pictures& out) {
  Transmittance light(box);
  Float16 color[TILE][3], depth[TILE], median[TILE];
  Int16 body[TILE];
  for (int row = 0; row < TILE; ++row) {
    color[row][0] = color[row][1] = color[row][2] = depth[row] = median[row] = Float16{};
    body[row] = Int16{} - 1;
  }
  for (const int32_t* entry = begin; entry != end && light.live; ++entry) {
    const Record& s = records[*entry];
    Footprint footprint(s, box);
    for (int row = footprint.first_row; row <= footprint.last_row; ++row) {
      if (!(light.live >> row & 1u)) continue;
      Hit hit = evaluate(s, footprint, footprint.dy0 + row);
      if (!any(hit.touched)) continue;
      Float16 before, weight;
      light.blend(row, hit, before, weight);
      for (int c = 0; c < 3; ++c) color[row][c] = color[row][c] + weight * s.color[c];
      depth[row] = depth[row] + weight * s.depth;
      Int16 half = (weight > Float16{}) & (before > broadcast(0.5f)) & (before - weight <= broadcast(0.5f));
      if (any(half)) {
        median[row] = select(half, broadcast(s.depth), median[row]);
        body[row] = select(half, Int16{} + s.body, body[row]);
      }
    }
  }
  for (int row = 0; row < box.rows; ++row) {
    int64_t pixel = static_cast<int64_t>(box.y + row) * view.width + box.x;
    Float16 rest = light.open[row] + light.closed[row];
    store_row(out.transmittance + pixel, box.columns, rest);
    store_row(out.depth + pixel, box.columns, depth[row]);
    store_row(out.median_depth + pixel, box.columns, median[row]);
    std::memcpy(out.body_ids + pixel, &body[row], box.columns * sizeof(int32_t));
    for (int c = 0; c < 3; ++c) {
      Float16 channel = color[row][c] + rest * background[c];
      for (int i = 0; i < box.columns; ++i) out.image[3 * (pixel + i) + c] = channel[i];
    }
  }
}

// What the pixels of a row want, and how much of it lies behind what was blended so far.
struct RowGradient {
  Float16 color[3], depth, behind;
};

void backward_tile(const View& view, const TileBox& box, const Record* records, const int32_t* splats,
                   const int32_t* slots, int64_t count, const Pictures& pictures, const Pictures& gradients,
                   PairGradient* pair_gradients) {
  Transmittance light(box);
  RowGradient rows[TILE];
  for (int row = 0; row < box.rows; ++row) {
    int64_t pixel = static_cast<int64_t>(box.y + row) * view.width + box.x;
    RowGradient& g = rows[row];
    Float16 image[3];
    load_colors(gradients.image + 3 * pixel, box.columns, g.color);
    load_colors(pictures.image + 3 * pixel, box.columns, image);
    g.depth = load_row(gradients.depth + pixel, box.columns);
    // The image's last term, transmittance * background, is part of what lies behind every splat.
    g.behind = g.color[0] * image[0] + g.color[1] * image[1] + g.color[2] * image[2] +
               g.depth * load_row(pictures.depth + pixel, box.columns) +
               load_row(gradients.transmittance + pixel, box.columns) *
                   load_row(pictures.transmittance + pixel, box.columns);
  }
  for (int64_t entry = 0; entry < count; ++entry) {
    PairGradient& out = pair_gradients[slots[entry]];
    if (!light.live) {
      out = PairGradient{};
      continue;
    }
    const Record& s = records[splats[entry]];
    Footprint footprint(s, box);
    Float16 moments[6] = {}, color[3] = {}, depth{};
    bool touched = false;
    for (int row = footprint.first_row; row <= footprint.last_row; ++row) {
      if (!(light.live >> row & 1u)) continue;
      Hit hit = evaluate(s, footprint, footprint.dy0 + row);
      if (!any(hit.touched)) continue;
      Float16 before, weight;
      Int16 blends = light.blend(row, hit, before, weight);
      touched = true;
      RowGradient& want = rows[row];
      for (int c = 0; c < 3; ++c) color[c] = color[c] + weight * want.color[c];
      depth = depth + weight * want.depth;
      Float16 value = want.color[0] * s.color[0] + want.color[1] * s.color[1] + want.color[2] * s.color[2] +
                      want.depth * s.depth;
      want.behind = want.behind - weight * value;
      // dL/dlog(alpha) = weight * value - alpha / (1 - alpha) * behind; a clamped alpha passes none on.
      Float16 g = weight * value - hit.alpha / (1.0f - hit.alpha) * want.behind;
      g = select(blends & (hit.alpha < broadcast(ALPHA_MAX)), g, Float16{});
      Float16 g_u = g * hit.u, g_v = g * hit.v;
      moments[0] = moments[0] + g;
      moments[1] = moments[1] + g_u;
      moments[2] = moments[2] + g_v;
      moments[3] = moments[3] + g_u * hit.u;
      moments[4] = moments[4] + g_u * hit.v;
      moments[5] = moments[5] + g_v * hit.v;
    }
    if (!touched) {
      out = PairGradient{};
      continue;
    }
    out = {{sum(moments[0]), sum(moments[1]), sum(moments[2]), sum(moments[3]), sum(moments[4]), sum(moments[5])},
           {sum(color[0]), sum(color[1]), sum(color[2])},
           sum(depth)};
  }
}

}  // namespace

void rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
               const float background[3], const Pictures& out) {
  parallel_for(static_cast<long>(view.tiles_x()) * view.tiles_y(), [&](long tile) {
    blend_tile(view, tile_box(view, tile), records, pair_splat + tile_start[tile], pair_splat + tile_start[tile + 1],
               background, out);
  });
}

void rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat, const int32_t* pair_slot,
                        const int64_t* tile_start, const Pictures& pictures, const Pictures& gradients,
                        PairGradient* pair_gradients) {
  parallel_for(static_cast<long>(view.tiles_x()) * view.tiles_y(), [&](long tile) {
    int64_t start = tile_start[tile];
    backward_tile(view, tile_box(view, tile), records, pair_splat + start, pair_slot + start,
                  tile_start[tile + 1] - start, pictures, gradients, pair_gradients);
  });
}

}  // namespace splatworld
