// What the network sees of a body and its contacts, in the body's local frame; the same numbers as in
// splatworld/dynamics/features.py, where they are explained.
#pragma once

#include <algorithm>

#include "cpu/states.h"

namespace splatworld {

struct Vec2 {
  float x, y;
};

inline Vec3<float> to_local(Vec2 heading, Vec3<float> v) {
  return {heading.x * v.x + heading.y * v.y, heading.x * v.y - heading.y * v.x, v.z};
}

inline Vec3<float> to_world(Vec2 heading, Vec3<float> v) { return to_local({heading.x, -heading.y}, v); }

inline Vec3<float> vec3(const float* v) { return {v[0], v[1], v[2]}; }

inline float* put(float* to, Vec3<float> v, float unit) {
  *to++ = v.x / unit, *to++ = v.y / unit, *to++ = v.z / unit;
  return to;
}

// A body in its local frame, and how it would move if the network said nothing.
struct Around {
  Vec2 heading;
  Mat3<float> local;  // local frame from the body's
  Vec3<float> linear, angular;
  Vec3<float> way, turn, linear_after, angular_after;
  float touched;
};

class Reader {
 public:
  const SceneArrays& scene;
  const MotionInputs& in;
  const FeatureScales& scales;

  Reader(const SceneArrays& of, const MotionInputs& inputs, const FeatureScales& by) : scene(of), in(inputs), scales(by) {
    for (int k = 0; k < 16; ++k) {
      const float angle = static_cast<float>(k) * static_cast<float>(M_PI / 8);
      directions_[k] = {std::cos(angle), std::sin(angle)};
    }
  }

  int64_t at(int64_t row) const { return in.state[row] * scene.bodies + in.body[row]; }

  Around look(int64_t row) const {
    Around out;
    const double* pose = in.poses + 7 * at(row);
    const Mat3<double> turn = to_matrix(quat_of(pose));
    const Mat3<float> r = narrowed(turn);
    const bool steep = r.m[2][0] * r.m[2][0] > 0.5f;
    const float x = r.m[0][steep], y = r.m[1][steep], norm = std::sqrt(x * x + y * y);
    out.heading = {x / norm, y / norm};
    for (int j = 0; j < 3; ++j) {
      const Vec3<float> column = to_local(out.heading, {r.m[0][j], r.m[1][j], r.m[2][j]});
      out.local.m[0][j] = column.x, out.local.m[1][j] = column.y, out.local.m[2][j] = column.z;
    }
    float twist[6];
    for (int k = 0; k < 6; ++k) twist[k] = static_cast<float>(in.twists[6 * at(row) + k]);
    out.linear = to_local(out.heading, vec3(twist));
    out.angular = to_local(out.heading, vec3(twist + 3));
    out.touched = 0;
    for (int64_t i = row * TOUCH_SLOTS; i < (row + 1) * TOUCH_SLOTS; ++i)
      out.touched = std::max(out.touched, in.touch.weight[i]);
    out.way = to_local(out.heading, vec3(in.coasting + 6 * row));
    out.turn = to_local(out.heading, vec3(in.coasting + 6 * row + 3));
    out.linear_after = to_local(out.heading, vec3(in.after + 6 * row));
    out.angular_after = to_local(out.heading, vec3(in.after + 6 * row + 3));
    return out;
  }

  bool below(int64_t i) const {
    return in.touch.phase[i] == 0 && in.touch.weight[i] > 0 && in.touch.normal[3 * i + 2] > 0.5f;
  }

  // Features of contact i of a body, given how everything moves.
  void contact(int64_t row, int64_t i, const Around& around, const float* motion, float* to) const {
    const int64_t own = at(row), other = in.state[row] * scene.bodies + in.touch.partner[i];
    const Vec3<float> arm = vec3(in.touch.arm + 3 * i), partner_arm = vec3(in.touch.partner_arm + 3 * i);
    const Vec3<float> normal = to_local(around.heading, vec3(in.touch.normal + 3 * i));
    const Vec3<float> local_arm = to_local(around.heading, arm);
    const float* far = motion + 6 * other;
    const Vec3<float> way = to_world(around.heading, around.way), turn = to_world(around.heading, around.turn);
    const Vec3<float> surface = vec3(far) + cross(vec3(far + 3), partner_arm) - way - cross(turn, arm);
    const Vec3<float> relative = to_local(around.heading, surface);
    const int kind = static_cast<int>(in.touch.kind[i]);
    *to++ = in.touch.distance[i] / scales.distance;
    to = put(to, normal, 1);
    to = put(to, local_arm, scales.arm);
    to = put(to, cross(local_arm, normal), scales.arm);
    to = put(to, relative, scales.shift);
    *to++ = dot(relative, normal) / scales.shift;
    for (int k = 0; k < 3; ++k) *to++ = k == kind;
    *to++ = static_cast<float>(in.touch.phase[i]) / 2;
    *to++ = kind == FREE ? (log_mass(own) - log_mass(other)) / 3 : 0.0f;
    *to++ = static_cast<float>(in.seconds / 0.1);
    std::copy(in.latents + other * in.latent_count, in.latents + (other + 1) * in.latent_count, to);
  }

  void body(int64_t row, const Around& around, float* to) const {
    const int64_t own = at(row), shape = scene.shape_ids[own];
    to = put(to, around.linear, scales.speed);
    to = put(to, around.angular, scales.spin);
    to = put(to, to_local(around.heading, vec3(in.gravity)), 9.81f);
    float low[3] = {1e9f, 1e9f, 1e9f}, high[3] = {-1e9f, -1e9f, -1e9f};
    for (int p = 0; p < in.extreme_count; ++p) {
      const Vec3<float> point = apply(around.local, vec3(in.extremes + 3 * (shape * in.extreme_count + p)));
      const float values[3] = {point.x, point.y, point.z};
      for (int k = 0; k < 3; ++k) low[k] = std::min(low[k], values[k]), high[k] = std::max(high[k], values[k]);
    }
    for (int k = 0; k < 3; ++k) *to++ = (high[k] - low[k]) / (2 * scales.arm);
    to = roots(around, in.spread + 9 * shape, to);
    *to++ = -low[2] / scales.arm;
    *to++ = margin(row, around) / scales.arm;
    *to++ = log_mass(own) / 3;
    *to++ = static_cast<float>(in.seconds / 0.1);
    to = put(to, around.way, scales.shift);
    to = put(to, around.turn, scales.turn);
    to = put(to, around.linear_after, scales.speed);
    to = put(to, around.angular_after, scales.spin);
    std::copy(in.latents + own * in.latent_count, in.latents + (own + 1) * in.latent_count, to);
  }

 private:
  static Mat3<float> narrowed(const Mat3<double>& a) {
    Mat3<float> out;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) out.m[i][j] = static_cast<float>(a.m[i][j]);
    return out;
  }

  float log_mass(int64_t at) const { return std::log(std::max(in.typical_mass[at], 1e-3f)); }

  // Roots of the diagonal of the second moments, then what is beside it as correlations of that length.
  float* roots(const Around& around, const float* spread, float* to) const {
    float half[3][3], turned[3][3], mean = 0;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        half[i][j] = 0;
        for (int k = 0; k < 3; ++k) half[i][j] += around.local.m[i][k] * spread[3 * k + j];
      }
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        turned[i][j] = 0;
        for (int k = 0; k < 3; ++k) turned[i][j] += half[i][k] * around.local.m[j][k];
      }
    for (int i = 0; i < 3; ++i) {
      const float root = std::sqrt(std::max(turned[i][i], 0.0f));
      mean += root / 3;
      *to++ = root / scales.arm;
    }
    mean = std::max(mean, 1e-4f);
    return put(to, {turned[1][2] / mean, turned[0][2] / mean, turned[0][1] / mean}, scales.arm);
  }

  // By how much the centre of mass lies within what supports it, seen from above: the least over some directions.
  float margin(int64_t row, const Around& around) const {
    Vec2 arms[TOUCH_SLOTS];
    int used = 0;
    for (int64_t i = row * TOUCH_SLOTS; i < (row + 1) * TOUCH_SLOTS; ++i) {
      if (!below(i)) continue;
      const Vec3<float> arm = to_local(around.heading, vec3(in.touch.arm + 3 * i));
      arms[used++] = {arm.x, arm.y};
    }
    float least = 3e38f;
    for (const Vec2& direction : directions_) {
      float reach = used < TOUCH_SLOTS ? -0.1f : -3e38f;
      for (int i = 0; i < used; ++i) reach = std::max(reach, arms[i].x * direction.x + arms[i].y * direction.y);
      least = std::min(least, reach);
    }
    return least;
  }

  Vec2 directions_[16];
};

}  // namespace splatworld
