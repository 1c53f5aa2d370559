// Impulses between rigid bodies, for coasting.cpp.
#pragma once

#include <algorithm>

#include "cpu/states.h"

namespace splatworld {

typedef float Float4 __attribute__((vector_size(16)));
typedef float Float8 __attribute__((vector_size(32)));

constexpr float PARTING = 0.05f;  // m/s at most
constexpr float UPWARD = 0.85f;  // of a normal from which what is below holds a body up

// Twists (m/s, rad/s) and wrenches: the linear part, 0, the angular part, 0.
inline Float8 six(Vec3<float> linear, Vec3<float> angular) {
  return Float8{linear.x, linear.y, linear.z, 0, angular.x, angular.y, angular.z, 0};
}

inline Float8 six(const double* v) {
  return Float8{float(v[0]), float(v[1]), float(v[2]), 0, float(v[3]), float(v[4]), float(v[5]), 0};
}

// A body that moves by what touches it.
struct Mover {
  int body;
  float lightness;        // 1/kg
  Mat3<float> readiness;  // 1/(kg m^2), body axes
  Mat3<float> turning;    // the same, world axes
  Vec3<double> center;    // m, of mass, from the body's origin, body axes
  Vec3<float> lever;      // the same, world axes
  Float8 twist;           // of the centre of mass
  bool pushed;
};

// A contact of mover a with mover b, or b -1 with what goes its own way. Directions: the normal, two across, none.
struct Contact {
  int a, b;
  float gap;             // m
  float friction;
  Float4 wrench[2][6];   // of a unit impulse on either body, direction by direction
  Float8 gain[2][3];     // the twist that it gives
  Float4 own;            // m/s of what goes its own way
  Float4 opens;          // m/s by which a unit impulse along the normal opens the contact along each direction
  Float4 ease;           // impulse that opens it by 1 m/s
  float closing;         // m/s at which it may close
  float impulse[3];

  // m/s of one of the bodies at the contact, along its directions.
  Float4 along(int side, Float8 twist) const {
    const Float4* w = wrench[side];
    const Float4 linear = twist[0] * w[0] + twist[1] * w[1] + twist[2] * w[2];
    return linear + (twist[4] * w[3] + twist[5] * w[4] + twist[6] * w[5]);
  }

  // m/s at which it opens, along its directions.
  Float4 opening(const Mover* movers) const {
    return along(0, movers[a].twist) - (b < 0 ? own : along(1, movers[b].twist));
  }

  // 1 where a stands on b, -1 where b stands on a, else 0.
  float upward() const {
    const float up = wrench[0][2][0];
    return up > UPWARD ? 1.0f : up < -UPWARD ? -1.0f : 0.0f;
  }

  void push(Mover* movers, float by, float x, float y) {
    impulse[0] += by, impulse[1] += x, impulse[2] += y;
    movers[a].twist += by * gain[0][0] + x * gain[0][1] + y * gain[0][2];
    if (b >= 0) movers[b].twist -= by * gain[1][0] + x * gain[1][1] + y * gain[1][2];
  }

  // What overlaps moves apart slowly: what is pinched would be flung away.
  void close_within(float seconds, float slop) {
    closing = (gap > 0 ? gap : std::max(std::min(gap + slop, 0.0f), -PARTING * seconds)) / seconds;
  }

  // Pushes so that it closes at most, and slides only where friction is used up. Returns the m/s that this changes.
  float settle(Mover* movers) {
    Float4 open = opening(movers);
    const float by = std::max(-impulse[0], -(open[0] + closing) * ease[0]);
    open += by * opens;
    float x = impulse[1] - open[1] * ease[1], y = impulse[2] - open[2] * ease[2];
    const float size = std::sqrt(x * x + y * y), most = friction * (impulse[0] + by);
    if (size > most) x *= most / size, y *= most / size;
    x -= impulse[1], y -= impulse[2];
    push(movers, by, x, y);
    const Float4 changed = Float4{std::abs(by), std::abs(x), std::abs(y), 0} / ease;
    return std::max({changed[0], changed[1], changed[2]});
  }
};

}  // namespace splatworld
