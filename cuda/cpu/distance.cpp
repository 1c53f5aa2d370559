// Signed distances of a closed mesh on a grid, and in between.
#include <algorithm>
#include <limits>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

Vec3<float> corner(const Triangles& t, int64_t face, int k) {
  const float* v = t.vertices + 3 * static_cast<int64_t>(t.faces[3 * face + k]);
  return {v[0], v[1], v[2]};
}

// Node n has the children 2 n and 2 n + 1; the leaves are nodes `leaves` to 2 leaves - 1, in the order of the triangles.
void build(const Triangles& t, const BoxTree& tree, int64_t node, int64_t begin, int64_t end) {
  float low[3], high[3], least[3], most[3];
  for (int k = 0; k < 3; ++k) {
    low[k] = least[k] = std::numeric_limits<float>::max();
    high[k] = most[k] = -std::numeric_limits<float>::max();
  }
  auto middle = [&](int32_t face, int axis) {
    float sum = 0;
    for (int k = 0; k < 3; ++k) sum += t.vertices[3 * static_cast<int64_t>(t.faces[3 * face + k]) + axis];
    return sum;
  };
  for (int64_t i = begin; i < end; ++i) {
    for (int axis = 0; axis < 3; ++axis) {
      for (int k = 0; k < 3; ++k) {
        float x = t.vertices[3 * static_cast<int64_t>(t.faces[3 * tree.order[i] + k]) + axis];
        low[axis] = std::min(low[axis], x);
        high[axis] = std::max(high[axis], x);
      }
      float m = middle(tree.order[i], axis);
      least[axis] = std::min(least[axis], m);
      most[axis] = std::max(most[axis], m);
    }
  }
  std::copy(low, low + 3, tree.boxes + 6 * node);
  std::copy(high, high + 3, tree.boxes + 6 * node + 3);
  if (node >= tree.leaves) return;
  int axis = 0;
  for (int k = 1; k < 3; ++k)
    if (most[k] - least[k] > most[axis] - least[axis]) axis = k;
  int64_t half = begin + (end - begin) / 2;
  std::nth_element(tree.order + begin, tree.order + half, tree.order + end, [&](int32_t a, int32_t b) {
    float x = middle(a, axis), y = middle(b, axis);
    return x < y || (x == y && a < b);
  });
  build(t, tree, 2 * node, begin, half);
  build(t, tree, 2 * node + 1, half, end);
}

// A compact block of LANES samples: neighbours share nearly all of their way through the tree.
constexpr int BLOCK_Z = LANES >= 16 ? 4 : 2, BLOCK_Y = 2, BLOCK_X = LANES / (BLOCK_Z * BLOCK_Y);
static_assert(BLOCK_X * BLOCK_Y * BLOCK_Z == LANES, "one lane a sample");

// A box is passed over if it cannot bring a distance down by a thousandth: at the middle of a ball all are as near.
constexpr float WORTHWHILE = 0.998f;

struct Walk {
  const Triangles& triangles;
  const BoxTree& tree;
  Vec3<FloatV> points;
  FloatV best;
  int64_t nearest_leaf;

  void leaf(int64_t index, int64_t begin, int64_t end) {
    FloatV before = best;
    for (int64_t i = begin; i < end; ++i) {
      int32_t face = tree.order[i];
      best = vmin(best, triangle_distance2<FloatV>(points, corner(triangles, face, 0), corner(triangles, face, 1),
                                                   corner(triangles, face, 2)));
    }
    if (any(best < before)) nearest_leaf = index;
  }

  void node(int64_t index, int64_t begin, int64_t end) {
    if (index >= tree.leaves) return leaf(index, begin, end);
    const int64_t half = begin + (end - begin) / 2;
    const FloatV left = box_distance2(tree.boxes + 12 * index, points);
    const FloatV right = box_distance2(tree.boxes + 12 * index + 6, points);
    auto go_left = [&] {
      if (any(left < WORTHWHILE * best)) node(2 * index, begin, half);
    };
    auto go_right = [&] {
      if (any(right < WORTHWHILE * best)) node(2 * index + 1, half, end);
    };
    if (left[0] <= right[0]) {
      go_left();
      go_right();
    } else {
      go_right();
      go_left();
    }
  }
};

// Where a leaf's triangles lie in the order: the same halving as in build().
void leaf_range(int64_t leaves, int64_t index, int64_t& begin, int64_t& end) {
  for (int64_t bit = leaves >> 1; bit; bit >>= 1) {
    int64_t half = begin + (end - begin) / 2;
    (index & bit ? begin : end) = half;
  }
}

// Which side of the edge from a to b a column is on: exact for floats, and for a column on the edge as if it were moved
// by a tiny step along x and a far tinier one along y, so that neighbouring triangles never both claim it.
bool left_of(const float* vertices, int32_t a, int32_t b, double x, double y) {
  const bool swapped = a > b;
  if (swapped) std::swap(a, b);
  const float *from = vertices + 3 * static_cast<int64_t>(a), *to = vertices + 3 * static_cast<int64_t>(b);
  const double dx = static_cast<double>(to[0]) - from[0], dy = static_cast<double>(to[1]) - from[1];
  double side = dx * (y - from[1]) - dy * (x - from[0]);
  if (side == 0) side = dy != 0 ? -dy : dx;
  return (side > 0) != swapped;
}

// values [Y, Z] of one x: how often the surface winds around each sample, counted along z from below.
void fill_winding(const Triangles& t, const Grid& grid, int64_t row, float* values) {
  const int columns = grid.size[1], samples = grid.size[2];
  std::fill(values, values + static_cast<int64_t>(columns) * samples, 0.0f);
  const float x = grid.origin[0] + static_cast<float>(row) * grid.spacing;
  for (int64_t face = 0; face < t.count; ++face) {
    const Vec3<float> a = corner(t, face, 0), b = corner(t, face, 1), c = corner(t, face, 2);
    if (std::min({a.x, b.x, c.x}) > x || std::max({a.x, b.x, c.x}) < x) continue;
    const int32_t* f = t.faces + 3 * face;
    const double bx = double(b.x) - a.x, by = double(b.y) - a.y, bz = double(b.z) - a.z;
    const double cx = double(c.x) - a.x, cy = double(c.y) - a.y, cz = double(c.z) - a.z;
    const double area = bx * cy - by * cx;
    if (area == 0) continue;  // seen from above it is a line
    const float low_y = std::min({a.y, b.y, c.y}), high_y = std::max({a.y, b.y, c.y});
    const double low_z = std::min({a.z, b.z, c.z}), high_z = std::max({a.z, b.z, c.z});
    const int first = std::max(0, static_cast<int>(std::floor((low_y - grid.origin[1]) / grid.spacing)) - 1);
    const int last = std::min(columns - 1, static_cast<int>(std::ceil((high_y - grid.origin[1]) / grid.spacing)) + 1);
    for (int column = first; column <= last; ++column) {
      const float y = grid.origin[1] + static_cast<float>(column) * grid.spacing;
      const bool ab = left_of(t.vertices, f[0], f[1], x, y), bc = left_of(t.vertices, f[1], f[2], x, y);
      if (ab != bc || bc != left_of(t.vertices, f[2], f[0], x, y)) continue;
      const double px = double(x) - a.x, py = double(y) - a.y;
      const double rise = (bz * (px * cy - py * cx) + cz * (bx * py - by * px)) / area;
      const double z = std::min(std::max(a.z + rise, low_z), high_z);
      const double sample = std::ceil((z - grid.origin[2]) / grid.spacing);
      if (sample >= samples) continue;
      // Going up, a surface that faces down leads in.
      values[static_cast<int64_t>(column) * samples + std::max(0, static_cast<int>(sample))] += ab ? -1.0f : 1.0f;
    }
  }
  for (int column = 0; column < columns; ++column)
    for (int k = 1; k < samples; ++k) values[static_cast<int64_t>(column) * samples + k] += values[static_cast<int64_t>(column) * samples + k - 1];
}

void fill_slab(const Triangles& t, const BoxTree& tree, const Grid& grid, int64_t slab, float* values) {
  int64_t nearest_leaf = tree.leaves;
  const int first_x = static_cast<int>(slab) * BLOCK_X;
  for (int first_y = 0; first_y < grid.size[1]; first_y += BLOCK_Y) {
    for (int first_z = 0; first_z < grid.size[2]; first_z += BLOCK_Z) {
      Walk walk{t, tree, {}, FloatV{} + std::numeric_limits<float>::max(), nearest_leaf};
      for (int i = 0; i < LANES; ++i) {
        walk.points.x[i] = grid.origin[0] + static_cast<float>(first_x + i / (BLOCK_Z * BLOCK_Y)) * grid.spacing;
        walk.points.y[i] = grid.origin[1] + static_cast<float>(first_y + i / BLOCK_Z % BLOCK_Y) * grid.spacing;
        walk.points.z[i] = grid.origin[2] + static_cast<float>(first_z + i % BLOCK_Z) * grid.spacing;
      }
      int64_t begin = 0, end = t.count;
      leaf_range(tree.leaves, nearest_leaf - tree.leaves, begin, end);
      walk.leaf(nearest_leaf, begin, end);  // what was nearest to the neighbours is near
      walk.node(1, 0, t.count);
      nearest_leaf = walk.nearest_leaf;
      for (int i = 0; i < LANES; ++i) {
        const int x = first_x + i / (BLOCK_Z * BLOCK_Y), y = first_y + i / BLOCK_Z % BLOCK_Y, z = first_z + i % BLOCK_Z;
        if (x >= grid.size[0] || y >= grid.size[1] || z >= grid.size[2]) continue;
        float& value = values[(static_cast<int64_t>(x) * grid.size[1] + y) * grid.size[2] + z];
        value = std::sqrt(walk.best[i]) * (value > 0 ? -1.0f : 1.0f);
      }
    }
  }
}

}  // namespace

void fill_distances(const Triangles& triangles, const BoxTree& tree, const Grid& grid, float* values) {
  for (int64_t i = 0; i < triangles.count; ++i) tree.order[i] = static_cast<int32_t>(i);
  build(triangles, tree, 1, 0, triangles.count);
  const int64_t row = static_cast<int64_t>(grid.size[1]) * grid.size[2];
  parallel_for(grid.size[0], [&](long x) { fill_winding(triangles, grid, x, values + x * row); });
  parallel_for((grid.size[0] + BLOCK_X - 1) / BLOCK_X,
               [&](long slab) { fill_slab(triangles, tree, grid, slab, values); });
}

void sample_distances(const Grid& grid, int64_t count, const float* points, float* distance, float* gradient) {
  constexpr int64_t chunk = 4096;
  parallel_for((count + chunk - 1) / chunk, [&](long part) {
    for (int64_t i = part * chunk; i < std::min(count, (part + 1) * chunk); ++i) {
      const Vec3<float> at{points[3 * i], points[3 * i + 1], points[3 * i + 2]};
      const Sampled<float> found = sample_grid(grid, at);
      distance[i] = found.distance;
      gradient[3 * i] = found.gradient.x;
      gradient[3 * i + 1] = found.gradient.y;
      gradient[3 * i + 2] = found.gradient.z;
    }
  });
}

}  // namespace splatworld
