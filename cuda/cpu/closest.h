// The contacts of one pair, for contacts.cpp: samples of surfaces taken on to where surfaces are nearest.
#pragma once

#include <algorithm>
#include <cmath>

#include "cpu/contacts.h"
#include "math/distance.h"

namespace splatworld {

// a_from_b, rounded to steps of 2^-24: two bodies that move together keep the very same relative pose, and with it the
// choice among points that are equally near.
struct Relative {
  Mat3<float> turn;
  Vec3<float> move;
};

inline float rounded(double a) {
  constexpr double steps = 16777216.0;
  return static_cast<float>(std::nearbyint(a * steps) / steps);
}

inline Relative relative(const Pose& a, const Pose& b) {
  Relative out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      double sum = 0;
      for (int k = 0; k < 3; ++k) sum += a.turn.m[k][i] * b.turn.m[k][j];
      out.turn.m[i][j] = rounded(sum);
    }
  const Vec3<double> move = apply_transposed(a.turn, b.move - a.move);
  out.move = {rounded(move.x), rounded(move.y), rounded(move.z)};
  return out;
}

inline Grid grid_of(const ShapeArrays& shapes, int body) {
  Grid grid{shapes.grid_values + shapes.grid_start[body], {}, {}, shapes.grid_spacing[body]};
  for (int k = 0; k < 3; ++k) {
    grid.size[k] = shapes.grid_size[3 * body + k];
    grid.origin[k] = shapes.grid_origin[3 * body + k];
  }
  return grid;
}

inline Vec3<FloatV> turned(const Mat3<float>& a, const Vec3<FloatV>& v) {
  return {a.m[0][0] * v.x + a.m[0][1] * v.y + a.m[0][2] * v.z, a.m[1][0] * v.x + a.m[1][1] * v.y + a.m[1][2] * v.z,
          a.m[2][0] * v.x + a.m[2][1] * v.y + a.m[2][2] * v.z};
}

inline Vec3<FloatV> moved(const Relative& to, const Vec3<FloatV>& v) {
  const Vec3<FloatV> p = turned(to.turn, v);
  return {p.x + to.move.x, p.y + to.move.y, p.z + to.move.z};
}

constexpr float LEVEL = 1e-4f; // m: points that are as deep as each other
// m, the strides of the search for where surfaces are nearest, and after how many in vain it ends.
constexpr float STRIDE[] = {4e-3f, 2.4e-3f, 1.4e-3f, 0.8e-3f, 0.5e-3f, 0.3e-3f};
constexpr int STRIDES = sizeof STRIDE / sizeof *STRIDE, IN_VAIN = 3;
constexpr float LEVEL_SLOPE = 0.05f;      // rad between surfaces that face each other
constexpr float CLEARLY = 2e-6f;          // m: more than rounding, so that it decides nothing
constexpr float AROUND = 1e-3f;           // m around the place found within which surfaces tell the normal
constexpr float SAME2 = 2e-3f * 2e-3f;    // m^2: what the search took nearer than that is the same contact

// The contacts of a pair, in the frame of b.
struct Closest {
  struct One {
    float distance;
    double aside;  // m from the point along the normal to halfway between the surfaces
    Vec3<float> point, normal;
  };
  int count = 0;
  One all[MOST_CONTACTS];

  // Samples miss where curved surfaces and edges are nearest: goes down the sum of the distances to both from each
  // contact, and stays there if it is nearer than the sample.
  void refine(const ShapeArrays& shapes, int a, int b, const Relative& a_from_b) {
    bool moved_any = false;
    if (shapes.grid_start[a] >= 0 && shapes.grid_start[b] >= 0) {
      const Grid in_a = grid_of(shapes, a), in_b = grid_of(shapes, b);
      for (int first = 0; first < count; first += LANES) moved_any |= refine(in_a, in_b, a_from_b, first);
    }
    sort();
    if (moved_any) merge();
  }

 private:
  // Nearest first; what is as near stays in the order of choice, far apart.
  void sort() {
    for (int i = 1; i < count; ++i)
      for (int j = i; j > 0 && all[j].distance < all[j - 1].distance - LEVEL; --j) std::swap(all[j], all[j - 1]);
  }

  // Several searches may have ended in the same place.
  void merge() {
    int kept = 0;
    for (int k = 0; k < count; ++k) {
      const bool same = std::any_of(all, all + kept, [&](const One& other) {
        const Vec3<float> gap = all[k].point - other.point;
        return dot(gap, gap) < SAME2;
      });
      if (!same) all[kept++] = all[k];
    }
    count = kept;
  }

  // The distances of LANES points in the frame of b to both, and their gradients in that frame.
  struct Distances {
    FloatV to_a, to_b;
    Vec3<FloatV> of_a, of_b;
    FloatV sum() const { return to_a + to_b; }
  };

  static Distances distances(const Grid& in_a, const Grid& in_b, const Relative& a_from_b, const Vec3<FloatV>& p) {
    Vec3<FloatV> beyond;
    const Sampled<FloatV> b = interpolate(in_b, p, beyond);
    const FloatV to_b = b.distance + vsqrt(dot(beyond, beyond));
    const Sampled<FloatV> a = interpolate(in_a, moved(a_from_b, p), beyond);
    const Mat3<float>& m = a_from_b.turn;
    const Vec3<FloatV>& g = a.gradient;
    const Vec3<FloatV> of_a{m.m[0][0] * g.x + m.m[1][0] * g.y + m.m[2][0] * g.z,
                            m.m[0][1] * g.x + m.m[1][1] * g.y + m.m[2][1] * g.z,
                            m.m[0][2] * g.x + m.m[1][2] * g.y + m.m[2][2] * g.z};
    return {a.distance + vsqrt(dot(beyond, beyond)), to_b, of_a, b.gradient};
  }

  static Vec3<FloatV> either(IntV mask, const Vec3<FloatV>& a, const Vec3<FloatV>& b) {
    return {select(mask, a.x, b.x), select(mask, a.y, b.y), select(mask, a.z, b.z)};
  }

  // The same for LANES of them.
  bool refine(const Grid& in_a, const Grid& in_b, const Relative& a_from_b, int first) {
    const int many = std::min(LANES, count - first);
    FloatV before = broadcast(-1.0f);  // m: nothing is to be found for it
    Vec3<FloatV> at{}, normal{}, way{};
    for (int lane = 0; lane < many; ++lane) {
      const One& from = all[first + lane];
      const Vec3<float> n = (1 / std::sqrt(std::max(dot(from.normal, from.normal), 1e-12f))) * from.normal;
      const Vec3<float> middle = from.point + static_cast<float>(from.aside) * n;
      // What overlaps as sampled tells enough: where two bodies are deep in each other is no matter of the nearest.
      if (from.distance > -LEVEL) before[lane] = from.distance;
      at.x[lane] = middle.x, at.y[lane] = middle.y, at.z[lane] = middle.z;
      normal.x[lane] = n.x, normal.y[lane] = n.y, normal.z[lane] = n.z;
    }
    const IntV wanted = before > broadcast(-0.5f);
    if (!any(wanted)) return false;
    Distances here = distances(in_a, in_b, a_from_b, at);
    bool found_any = false;
    for (int k = 0; k < STRIDES; ++k) {
      if (k == IN_VAIN && !found_any) return false;
      const Vec3<FloatV> slope = here.of_a + here.of_b, across = slope - dot(slope, normal) * normal;
      const FloatV steep = vsqrt(dot(across, across));
      const IntV uneven = steep > broadcast(LEVEL_SLOPE);
      if (!any(wanted & uneven)) break;
      const Vec3<FloatV> downhill = select(uneven, -1.0f / steep, FloatV{}) * across;
      const Vec3<FloatV> to = at + broadcast(STRIDE[k]) * downhill;
      const Distances there = distances(in_a, in_b, a_from_b, to);
      const IntV better = wanted & (there.sum() < here.sum() - CLEARLY);
      found_any |= any(better);
      at = either(better, to, at), way = either(better, downhill, way);
      here = {select(better, there.to_a, here.to_a), select(better, there.to_b, here.to_b),
              either(better, there.of_a, here.of_a), either(better, there.of_b, here.of_b)};
    }
    if (!found_any) return false;
    const IntV nearer = here.sum() < before - LEVEL;
    if (!any(nearer)) return false;
    const Vec3<FloatV> aside = cross(normal, way);
    Vec3<FloatV> mean_a{}, mean_b{};
    for (const Vec3<FloatV>& along : {way, Vec3<FloatV>{} - way, aside, Vec3<FloatV>{} - aside}) {
      const Distances around = distances(in_a, in_b, a_from_b, at + broadcast(AROUND) * along);
      mean_a = mean_a + around.of_a, mean_b = mean_b + around.of_b;
    }
    // Over an edge gradients cancel: the flatter surface knows better.
    const FloatV flat_a = dot(mean_a, mean_a), flat_b = dot(mean_b, mean_b);
    const Vec3<FloatV> towards_a = flat_b * flat_b * mean_b - flat_a * flat_a * mean_a;
    for (int lane = 0; lane < many; ++lane) {
      if (!nearer[lane]) continue;
      const float to_a = here.to_a[lane], to_b = here.to_b[lane];
      all[first + lane] = {to_a + to_b, 0.5 * (double(to_a) - to_b), {at.x[lane], at.y[lane], at.z[lane]},
                           {towards_a.x[lane], towards_a.y[lane], towards_a.z[lane]}};
    }
    return true;
  }
};

}  // namespace splatworld
