// Distances to triangles and in sampled grids; the same for one number and for several side by side.
#pragma once

#include "math/vector.h"

namespace splatworld {

// Squared distance from a point to a triangle. Ericson, "Real-Time Collision Detection" (2005), 5.1.5, without branches:
// the nearest point of the plane if it lies inside, else that of the nearest edge.
template <class F>
SW_HD F triangle_distance2(Vec3<F> p, Vec3<float> a, Vec3<float> b, Vec3<float> c) {
  const F zero = F{}, one = F{} + 1.0f;
  auto lift = [&](Vec3<float> v) { return Vec3<F>{zero + v.x, zero + v.y, zero + v.z}; };
  const Vec3<float> normal = cross(b - a, c - a);
  const float area2 = dot(normal, normal);
  F best = zero + 3.0e38f;
  auto inside = best >= zero;
  auto edge = [&](Vec3<float> from, Vec3<float> to) {
    const Vec3<float> along = to - from, outward = cross(along, normal);
    const float length2 = dot(along, along);
    Vec3<F> offset = p - lift(from);
    F share = vmin(vmax(dot(offset, lift(along)) * (length2 > 0 ? 1.0f / length2 : 0.0f), zero), one);
    Vec3<F> gap = offset - share * lift(along);
    best = vmin(best, dot(gap, gap));
    inside = inside & (dot(offset, lift(outward)) <= zero);
  };
  edge(a, b);
  edge(b, c);
  edge(c, a);
  if (!(area2 > 0)) return best;
  F height = dot(p - lift(a), lift(normal));
  return select(inside, height * height * (1.0f / area2), best);
}

// Samples of a distance on a regular grid, linear in between.
struct Grid {
  const float* values;  // [X, Y, Z]
  int size[3];
  float origin[3], spacing;
};

struct Sampled {
  float distance;
  Vec3<float> gradient;
};

// Beyond the grid the distance goes on from the nearest point q of its border: to the surface point nearest to q, as the
// border's value v and gradient tell it. It is never less than sqrt(|p - q|^2 + v^2), the least that is possible, and
// exact where that surface point stays the nearest. From a border inside the solid (v < 0) it rises by |p - q|.
SW_HD Sampled sample_grid(const Grid& grid, Vec3<float> p) {
  float at[3] = {p.x, p.y, p.z}, beyond[3], weight[3];
  int cell[3];
  for (int k = 0; k < 3; ++k) {
    float last = static_cast<float>(grid.size[k] - 1), x = (at[k] - grid.origin[k]) / grid.spacing;
    float held = vmin(vmax(x, 0.0f), last);
    beyond[k] = (x - held) * grid.spacing;
    cell[k] = static_cast<int>(vmin(held, last - 1.0f));
    weight[k] = held - static_cast<float>(cell[k]);
  }
  const int64_t step_y = grid.size[2], step_x = step_y * grid.size[1];
  const float* v = grid.values + cell[0] * step_x + cell[1] * step_y + cell[2];
  const float u = weight[0], w = weight[1], t = weight[2];
  const float c00 = v[0] + t * (v[1] - v[0]), c01 = v[step_y] + t * (v[step_y + 1] - v[step_y]);
  const float *far = v + step_x;
  const float c10 = far[0] + t * (far[1] - far[0]), c11 = far[step_y] + t * (far[step_y + 1] - far[step_y]);
  const float low = c00 + w * (c01 - c00), high = c10 + w * (c11 - c10), inverse = 1.0f / grid.spacing;
  auto rise = [&](const float* at, int64_t step) { return at[step] - at[0]; };
  Sampled out;
  out.distance = low + u * (high - low);
  out.gradient.x = inverse * (high - low);
  out.gradient.y = inverse * ((1 - u) * (c01 - c00) + u * (c11 - c10));
  out.gradient.z = inverse * ((1 - u) * ((1 - w) * rise(v, 1) + w * rise(v + step_y, 1)) +
                              u * ((1 - w) * rise(far, 1) + w * rise(far + step_y, 1)));
  const Vec3<float> e{beyond[0], beyond[1], beyond[2]};
  const float e2 = dot(e, e);
  if (e2 == 0) return out;  // a NaN goes on and stays one
  const float v_border = out.distance, norm2 = dot(out.gradient, out.gradient);
  if (v_border <= 0 || !(norm2 > 0)) {
    const float length = vsqrt(e2);
    return {v_border + length, (1.0f / length) * e};
  }
  const Vec3<float> reach = e + (v_border / vsqrt(norm2)) * out.gradient;
  const float bound2 = e2 + v_border * v_border, along2 = dot(reach, reach);
  if (along2 >= bound2) {
    const float length = vsqrt(along2);
    return {length, (1.0f / length) * reach};
  }
  const float length = vsqrt(bound2);
  return {length, (1.0f / length) * e};
}

}  // namespace splatworld
