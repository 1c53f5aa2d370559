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

// Squared distance from a point to a box [6], its least and greatest corner; 0 inside.
template <class F>
SW_HD F box_distance2(const float* box, const Vec3<F>& p) {
  const F zero = F{};
  const F x = vmax(vmax(box[0] - p.x, p.x - box[3]), zero), y = vmax(vmax(box[1] - p.y, p.y - box[4]), zero);
  const F z = vmax(vmax(box[2] - p.z, p.z - box[5]), zero);
  return x * x + y * y + z * z;
}

// Samples of a distance on a regular grid, linear in between.
struct Grid {
  const float* values;  // [X, Y, Z]
  int size[3];
  float origin[3], spacing;
};

template <class F>
struct Sampled {
  F distance;
  Vec3<F> gradient;
};

SW_HD int32_t whole(float a) { return static_cast<int32_t>(a); }
SW_HD float real(int32_t a) { return static_cast<float>(a); }
// Two neighbours in memory.
SW_HD void take(const float* from, int32_t index, float& first, float& second) {
  first = from[index];
  second = from[index + 1];
}

#ifndef __CUDACC__
SW_HD IntV whole(FloatV a) { return __builtin_convertvector(a, IntV); }
SW_HD FloatV real(IntV a) { return __builtin_convertvector(a, FloatV); }

// Both floats in one load: as a double, which is moved and never computed with.
typedef double PairsV __attribute__((vector_size(4 * LANES)));
template <int... PAIR>
SW_HD PairsV take_pairs(const float* from, const int32_t* index, std::integer_sequence<int, PAIR...>) {
  auto pair = [&](int i) {
    double both;
    std::memcpy(&both, from + index[i], sizeof both);
    return both;
  };
  return PairsV{pair(PAIR)...};
}
template <int... LANE>
SW_HD void split(FloatV a, FloatV b, FloatV& first, FloatV& second, std::integer_sequence<int, LANE...>) {
  first = __builtin_shufflevector(a, b, (2 * LANE)...);
  second = __builtin_shufflevector(a, b, (2 * LANE + 1)...);
}
SW_HD void take(const float* from, IntV index, FloatV& first, FloatV& second) {
  int32_t at[LANES];
  std::memcpy(at, &index, sizeof at);
  constexpr auto half = std::make_integer_sequence<int, LANES / 2>{};
  split((FloatV)take_pairs(from, at, half), (FloatV)take_pairs(from, at + LANES / 2, half), first, second,
        std::make_integer_sequence<int, LANES>{});
}
#endif

// Between the samples, of the point of the grid that is nearest to p; `beyond` is how far p is from there.
template <class F>
SW_HD Sampled<F> interpolate(const Grid& grid, const Vec3<F>& p, Vec3<F>& beyond) {
  const float inverse = 1.0f / grid.spacing;
  const F zero = F{};
  auto place = [&](F at, int k, F& share, F& outside) {
    const float last = static_cast<float>(grid.size[k] - 1);
    F x = (at - grid.origin[k]) * inverse, held = vmin(vmax(x, zero), zero + last);
    outside = (x - held) * grid.spacing;
    auto cell = whole(vmin(held, zero + (last - 1.0f)));
    share = held - real(cell);
    return cell;
  };
  F u, w, t;
  auto x = place(p.x, 0, u, beyond.x);
  auto y = place(p.y, 1, w, beyond.y);
  auto z = place(p.z, 2, t, beyond.z);
  const int32_t step_y = grid.size[2], step_x = step_y * grid.size[1];
  auto first = x * step_x + y * step_y + z;
  F v000, v001, v010, v011, v100, v101, v110, v111;
  take(grid.values, first, v000, v001);
  take(grid.values + step_y, first, v010, v011);
  take(grid.values + step_x, first, v100, v101);
  take(grid.values + step_x + step_y, first, v110, v111);
  const F d00 = v001 - v000, d01 = v011 - v010, d10 = v101 - v100, d11 = v111 - v110;
  const F c00 = v000 + t * d00, c01 = v010 + t * d01, c10 = v100 + t * d10, c11 = v110 + t * d11;
  const F low = c00 + w * (c01 - c00), high = c10 + w * (c11 - c10);
  const F along0 = d00 + w * (d01 - d00), along1 = d10 + w * (d11 - d10);
  Sampled<F> out;
  out.distance = low + u * (high - low);
  out.gradient.x = (high - low) * inverse;
  out.gradient.y = ((c01 - c00) + u * ((c11 - c10) - (c01 - c00))) * inverse;
  out.gradient.z = (along0 + u * (along1 - along0)) * inverse;
  return out;
}

// Beyond the grid the distance goes on from the nearest point q of its border: to the surface point nearest to q, as the
// border's value v and gradient tell it. It is never less than sqrt(|p - q|^2 + v^2), the least that is possible, and
// exact where that surface point stays the nearest. From a border inside the solid (v < 0) it rises by |p - q|. Where
// `sure`, it is that least value all along.
template <class F>
SW_HD Sampled<F> sample_grid(const Grid& grid, const Vec3<F>& p, bool sure = false) {
  const F zero = F{}, one = zero + 1.0f;
  Vec3<F> beyond;
  const Sampled<F> border = interpolate(grid, p, beyond);
  const F beyond2 = dot(beyond, beyond), v = border.distance, slope2 = dot(border.gradient, border.gradient);
  const auto apart = mask_not(beyond2 == zero);  // a NaN goes on and stays one
  if (!any(apart)) return border;
  const auto straight = (v <= zero) | mask_not(slope2 > zero);
  const Vec3<F> reach = beyond + (v / vsqrt(select(straight, one, slope2))) * border.gradient;
  const F least2 = beyond2 + v * v, reach2 = dot(reach, reach);
  auto least = reach2 < least2;
  if (sure) least = least | (reach2 >= least2);
  const auto outward = straight | least;
  const Vec3<F> towards{select(outward, beyond.x, reach.x), select(outward, beyond.y, reach.y),
                        select(outward, beyond.z, reach.z)};
  const F length = select(straight, v + vsqrt(beyond2), vsqrt(select(least, least2, reach2)));
  const F inverse = one / vsqrt(select(apart, dot(towards, towards), one));
  return {select(apart, length, v),
          {select(apart, inverse * towards.x, border.gradient.x), select(apart, inverse * towards.y, border.gradient.y),
           select(apart, inverse * towards.z, border.gradient.z)}};
}

}  // namespace splatworld
