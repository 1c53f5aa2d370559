// What kernels of dynamics share: states dealt to parts, room cut into arrays, motions of poses.
#pragma once

#include <atomic>
#include <cmath>

#include "cpu/threads.h"
#include "dynamics.h"

namespace splatworld {

// Cuts room into arrays; from a null pointer it only measures.
class Cutter {
 public:
  explicit Cutter(char* from) : from_(from) {}
  template <class T>
  T* take(int64_t count) {
    T* out = reinterpret_cast<T*>(from_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return out;
  }
  int64_t used() const { return used_; }

 private:
  char* from_;
  int64_t used_ = 0;
};

// work(room, i) for each of `count`; whichever part is free takes the next few. Room of one part is worked in by the
// caller alone, who may be a part of something else.
template <class Work>
void for_each(int64_t count, const Rooms& rooms, Work&& work, int64_t few = 4) {
  if (rooms.parts == 1) {
    for (int64_t i = 0; i < count; ++i) work(rooms.bytes, i);
    return;
  }
  std::atomic<int64_t> next{0};
  parallel_for(rooms.parts, [&](long part) {
    for (int64_t first; (first = next.fetch_add(few, std::memory_order_relaxed)) < count;)
      for (int64_t i = first; i < count && i < first + few; ++i) work(rooms.bytes + part * rooms.size, i);
  });
}

inline double length(const double* v) { return std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); }

// Whether a twist [6] is too slow to matter.
inline bool is_still(const double* twist, const IslandLimits& limits) {
  return length(twist) <= limits.still_speed && length(twist + 3) <= limits.still_spin;
}

inline Quat<double> quat_of(const double* pose) { return {pose[3], pose[4], pose[5], pose[6]}; }

inline void set_quat(double* pose, Quat<double> q) { pose[3] = q.w, pose[4] = q.x, pose[5] = q.y, pose[6] = q.z; }

// The rotation by a vector, as pose.exp in splatworld/core/pose.py.
inline Quat<double> turn_by(Vec3<double> half) {
  const double angle = std::sqrt(dot(half, half)), share = angle > 0 ? std::sin(angle) / angle : 1.0;
  return {std::cos(angle), share * half.x, share * half.y, share * half.z};
}

// `pose` [7] displaced by `motion` [6], world axes; as `moved` in splatworld/dynamics/touch.py.
template <class T>
void move_pose(double* pose, const T* motion) {
  bool still = true;
  for (int k = 0; k < 6; ++k) still &= motion[k] == 0;
  if (still) return;
  const Quat<double> raw = multiply(turn_by({0.5 * motion[3], 0.5 * motion[4], 0.5 * motion[5]}), quat_of(pose));
  for (int k = 0; k < 3; ++k) pose[k] += motion[k];
  const double norm = std::sqrt(dot(raw, raw));
  set_quat(pose, (norm > 0 ? 1 / norm : 1.0) * raw);
}

// Translation and rotation vector [6] from one pose to another; as `travelled` in splatworld/dynamics/touch.py.
inline void travel(const double* from, const double* to, double* way) {
  for (int k = 0; k < 3; ++k) way[k] = to[k] - from[k];
  Quat<double> q = multiply(quat_of(to), conjugate(quat_of(from)));
  if (q.w < 0) q = {-q.w, -q.x, -q.y, -q.z};
  const double sine = std::sqrt(q.x * q.x + q.y * q.y + q.z * q.z);
  const double share = sine < 1e-6 ? 2 / std::max(q.w, 1e-6) : 2 * std::atan2(sine, q.w) / sine;
  way[3] = share * q.x, way[4] = share * q.y, way[5] = share * q.z;
}

}  // namespace splatworld
