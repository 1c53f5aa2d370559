// Distances from LANES places at once to the posed bodies of a state; for queries.cpp and sweeps.cpp.
#pragma once

#include <algorithm>
#include <cmath>

#include "cpu/closest.h"
#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "queries.h"

namespace splatworld {

constexpr float NOWHERE = 1e9f;  // m: farther than anything

using Place = Vec3<DoubleV>;
using Offset = Vec3<FloatV>;

inline Offset offset_from(const double* origin, const Place& p) {
  return {narrow(p.x - origin[0]), narrow(p.y - origin[1]), narrow(p.z - origin[2])};
}

inline Offset into_body(const float* m, const Offset& v) {
  return {m[0] * v.x + m[3] * v.y + m[6] * v.z, m[1] * v.x + m[4] * v.y + m[7] * v.z,
          m[2] * v.x + m[5] * v.y + m[8] * v.z};
}

inline Offset into_world(const float* m, const Offset& v) {
  return {m[0] * v.x + m[1] * v.y + m[2] * v.z, m[3] * v.x + m[4] * v.y + m[5] * v.z,
          m[6] * v.x + m[7] * v.y + m[8] * v.z};
}

inline float lowest(const FloatV& a) { return -maximum(-a); }

inline Offset either(IntV mask, const Offset& a, const Offset& b) {
  return {select(mask, a.x, b.x), select(mask, a.y, b.y), select(mask, a.z, b.z)};
}

struct Nearest {
  FloatV distance = broadcast(NOWHERE);
  Offset gradient{};
  IntV body = IntV{} - 1;

  // Takes over what is nearer; whether anything was.
  bool update(const Sampled<FloatV>& found, int from) {
    const IntV better = found.distance < distance;
    if (!any(better)) return false;
    distance = select(better, found.distance, distance);
    gradient = either(better, found.gradient, gradient);
    body = select(better, IntV{} + from, body);
    return true;
  }
};

// The pose of a body and a ball around its shape; nodes [M, 7] are those of the state.
inline PosedBody pose_body(const FieldArrays& field, int b, const double* pose, const double* nodes) {
  PosedBody out{{pose[0], pose[1], pose[2]}, {}, {}, -1.0f};
  const Pose world_from_body = read_pose(pose);
  for (int i = 0; i < 9; ++i) out.turn[i] = static_cast<float>(world_from_body.turn.m[i / 3][i % 3]);
  if (field.shapes.grid_start[b] >= 0) {
    const float* box = field.shapes.boxes + 6 * b;
    Vec3<double> middle{0.5 * (double(box[0]) + box[3]), 0.5 * (double(box[1]) + box[4]), 0.5 * (double(box[2]) + box[5])};
    const Vec3<double> half{box[3] - middle.x, box[4] - middle.y, box[5] - middle.z};
    middle = apply(world_from_body.turn, middle);
    out.middle[0] = static_cast<float>(middle.x), out.middle[1] = static_cast<float>(middle.y);
    out.middle[2] = static_cast<float>(middle.z);
    out.radius = static_cast<float>(std::sqrt(dot(half, half)));
    return out;
  }
  double low[3], high[3];
  std::fill(low, low + 3, 1e30), std::fill(high, high + 3, -1e30);
  const int begin = field.capsule_start[b], end = field.capsule_start[b + 1];
  for (int c = 2 * begin; c < 2 * end; ++c)
    for (int k = 0; k < 3; ++k) {
      const double at = nodes[7 * field.capsule_ends[c] + k] - pose[k], radius = field.capsule_radii[c / 2];
      low[k] = std::min(low[k], at - radius), high[k] = std::max(high[k], at + radius);
    }
  if (begin == end) return out;
  double radius2 = 0;
  for (int k = 0; k < 3; ++k) {
    out.middle[k] = static_cast<float>(0.5 * (low[k] + high[k]));
    radius2 += 0.25 * (high[k] - low[k]) * (high[k] - low[k]);
  }
  out.radius = static_cast<float>(std::sqrt(radius2));
  return out;
}

// The least distance that is possible, by the ball around a body.
inline FloatV ball_gap(const PosedBody& body, const Offset& offset) {
  const Offset gap{offset.x - body.middle[0], offset.y - body.middle[1], offset.z - body.middle[2]};
  return vsqrt(dot(gap, gap)) - body.radius;
}

// Distance to one body from places at `offset` from its frame, world axes, if some may be nearer than `limit`; of the
// others NOWHERE. `sure`: no more than the truth also far away.
template <class Nodes>
bool sample_body(const FieldArrays& field, int b, const PosedBody& body, Nodes&& node, const Offset& offset,
                 const FloatV& limit, bool sure, Sampled<FloatV>& out) {
  if (field.shapes.grid_start[b] >= 0) {
    Offset local = into_body(body.turn, offset);
    const FloatV box = vsqrt(box_distance2(field.shapes.boxes + 6 * b, local));
    const IntV near = box < limit;
    if (!any(near)) return false;
    const Grid grid = grid_of(field.shapes, b);
    // Far ones read the grid's first sample: that one is at hand.
    local = either(near, local, {broadcast(grid.origin[0]), broadcast(grid.origin[1]), broadcast(grid.origin[2])});
    out = sample_grid(grid, local, sure);
    if (sure) out.distance = vmax(out.distance, select(box > FloatV{}, box, out.distance));
    out.distance = select(near, out.distance, broadcast(NOWHERE));
    out.gradient = into_world(body.turn, out.gradient);
    return true;
  }
  out = Sampled<FloatV>{broadcast(NOWHERE), Offset{}};
  for (int c = field.capsule_start[b]; c < field.capsule_start[b + 1]; ++c) {
    double a[3], e[3];
    node(field.capsule_ends[2 * c], a), node(field.capsule_ends[2 * c + 1], e);
    Vec3<float> from{float(a[0] - body.move[0]), float(a[1] - body.move[1]), float(a[2] - body.move[2])};
    const Vec3<float> along{float(e[0] - a[0]), float(e[1] - a[1]), float(e[2] - a[2])};
    const float length2 = dot(along, along), inverse = length2 > 0 ? 1.0f / length2 : 0.0f;
    Offset gap{offset.x - from.x, offset.y - from.y, offset.z - from.z};
    const FloatV share = vmin(vmax((gap.x * along.x + gap.y * along.y + gap.z * along.z) * inverse, FloatV{}),
                              broadcast(1.0f));
    gap = {gap.x - share * along.x, gap.y - share * along.y, gap.z - share * along.z};
    const FloatV length = vsqrt(vmax(dot(gap, gap), broadcast(1e-18f))), d = length - field.capsule_radii[c];
    const IntV better = d < out.distance;
    if (!any(better)) continue;
    out.distance = select(better, d, out.distance);
    out.gradient = either(better, (1.0f / length) * gap, out.gradient);
  }
  return true;
}

// One state.
struct Field {
  const FieldArrays& field;
  const PosedBody* bodies;
  const double* nodes;  // [M, 7]
  const float* std;     // [B, 6]
  const uint8_t* wanted;

  Field(const FieldArrays& of, const PosedField& posed, int64_t s)
      : field(of), bodies(posed.bodies + s * of.shapes.bodies), nodes(posed.node + 7 * s * posed.nodes),
        std(posed.std + 6 * s * of.shapes.bodies), wanted(posed.wanted) {}

  bool counts(int b) const { return wanted[b] && bodies[b].radius >= 0; }

  bool sample(int b, const Offset& offset, const FloatV& limit, bool sure, Sampled<FloatV>& out) const {
    auto node = [&](int index, double* at) { std::copy(nodes + 7 * index, nodes + 7 * index + 3, at); };
    return sample_body(field, b, bodies[b], node, offset, limit, sure, out);
  }

  // The body that is nearest by the balls around them is looked at first: it rules out most of the others.
  Nearest nearest(const Place& p, bool sure) const {
    Nearest found;
    int first = -1;
    float least = NOWHERE;
    for (int b = 0; b < field.shapes.bodies; ++b) {
      if (!counts(b)) continue;
      const float gap = lowest(ball_gap(bodies[b], offset_from(bodies[b].move, p)));
      if (first < 0 || gap < least) first = b, least = gap;
    }
    if (first < 0) return found;
    auto look = [&](int b, const Offset& offset) {
      Sampled<FloatV> s;
      if (sample(b, offset, found.distance, sure, s)) found.update(s, b);
    };
    look(first, offset_from(bodies[first].move, p));
    for (int b = 0; b < field.shapes.bodies; ++b) {
      if (b == first || !counts(b)) continue;
      const Offset offset = offset_from(bodies[b].move, p);
      if (any(ball_gap(bodies[b], offset) < found.distance)) look(b, offset);
    }
    return found;
  }

  // m to unseen space.
  FloatV unseen(const Place& p) const {
    if (!field.unseen.values) return broadcast(NOWHERE);
    Offset beyond;
    const Offset local = into_body(bodies[0].turn, offset_from(bodies[0].move, p));
    const FloatV inside = interpolate(field.unseen, local, beyond).distance, outside2 = dot(beyond, beyond);
    return select(outside2 > FloatV{}, -vsqrt(outside2), inside);
  }

  // Whether the surface of body b was seen nearest to a place at `offset` from its frame, as far as the gradient says.
  bool surface_seen(int b, Vec3<float> offset, float distance, Vec3<float> gradient) const {
    if (b < 0 || field.seen_start[b] < 0) return true;
    const float slope2 = dot(gradient, gradient);
    if (slope2 > 0) offset = offset - (distance / std::sqrt(slope2)) * gradient;
    const float* m = bodies[b].turn;
    const float local[3] = {m[0] * offset.x + m[3] * offset.y + m[6] * offset.z,
                            m[1] * offset.x + m[4] * offset.y + m[7] * offset.z,
                            m[2] * offset.x + m[5] * offset.y + m[8] * offset.z};
    int64_t index = 0;
    for (int k = 0; k < 3; ++k) {
      const float last = static_cast<float>(field.seen_size[3 * b + k] - 1);
      const float at = std::nearbyint((local[k] - field.seen_origin[3 * b + k]) / field.seen_spacing[b]);
      index = index * field.seen_size[3 * b + k] + static_cast<int64_t>(std::min(std::max(at, 0.0f), last));
    }
    return field.seen[field.seen_start[b] + index];
  }

  // m: of the body's pose along the gradient, of its surface, and of the scale.
  float deviation(int b, Vec3<float> offset, float distance, Vec3<float> gradient) const {
    if (b < 0) return NOWHERE;
    const float* s = std + 6 * b;
    const Vec3<float> turn = cross(offset, gradient);
    const float parts[8] = {gradient.x * s[0], gradient.y * s[1], gradient.z * s[2], turn.x * s[3], turn.y * s[4],
                            turn.z * s[5], field.roughness[b], field.scale_std * distance};
    float sum = 0;
    for (float part : parts) sum += part * part;
    return std::sqrt(sum);
  }
};

// LANES places from `from`, `stride` numbers each; the last of `count` repeats.
inline Place read_places(const double* from, int stride, int count) {
  Place p;
  for (int lane = 0; lane < LANES; ++lane) {
    const double* at = from + stride * std::min(lane, count - 1);
    p.x[lane] = at[0], p.y[lane] = at[1], p.z[lane] = at[2];
  }
  return p;
}

inline FloatV read_numbers(const double* from, int stride, int count) {
  FloatV value;
  for (int lane = 0; lane < LANES; ++lane) value[lane] = static_cast<float>(from[stride * std::min(lane, count - 1)]);
  return value;
}

// work(state, first of its places, how many), LANES at most, dealt in parts that are worth a thread's while.
template <class Work>
void for_places(int64_t states, int64_t count, Work&& work) {
  constexpr int64_t part = 16 * LANES;
  const int64_t parts = (count + part - 1) / part;
  parallel_for(states * parts, [&](long task) {
    const int64_t s = task / parts, end = std::min(count, (task % parts + 1) * part);
    for (int64_t i = task % parts * part; i < end; i += LANES)
      work(s, i, static_cast<int>(std::min<int64_t>(LANES, end - i)));
  });
}

void pose_bodies(const FieldArrays& field, const PosedField& posed);

}  // namespace splatworld
