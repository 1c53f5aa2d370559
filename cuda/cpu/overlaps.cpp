// Bodies that overlap are moved apart, and the gradient of that. Tonge et al., "Mass splitting for jitter-free parallel
// rigid body simulation" (2012): Jacobi iterations on non-negative multipliers.
#include <algorithm>
#include <cstring>

#include "cpu/contacts.h"
#include "cpu/states.h"

namespace splatworld {
namespace {

typedef float Float8 __attribute__((vector_size(32)));
typedef int32_t Int8 __attribute__((vector_size(32)));
static_assert(MOST_CONTACTS == 8, "a pair's contacts lie side by side");

// The contacts of a pair. Moving a by (u, w) and b by (u', w') opens each by (u - u') n + w lever_a - w' lever_b.
struct Overlap {
  int a, b;
  Vec3<Float8> normal, lever_a, lever_b;
  Float8 distance;
  Float8 rate;  // of the push for each metre that is missing; 0 where nothing is to be done
  Float8 push;
  Int8 active;  // bit k: it pushes after iteration k
};

// How the bodies stood, what overlapped, and how far they were moved.
struct Look {
  double* poses;  // [B, 7]
  Overlap* rows;  // [P]
  float* motion;  // [B, 6]
  int count;
};

struct Room {
  Look looks[MOST_LOOKS];
  Pose* placed;    // [B]
  double* boxes;   // [B, 6]
  double* now;     // [B, 7]
  float* before;   // [B, 6]
  float* number;   // [B] contacts
  uint8_t* look;   // [B]

  Room(Cutter& cut, int64_t bodies, int64_t pairs, int looks_kept) {
    for (int k = 0; k < looks_kept; ++k)
      looks[k] = {cut.take<double>(7 * bodies), cut.take<Overlap>(pairs), cut.take<float>(6 * bodies), 0};
    placed = cut.take<Pose>(bodies);
    boxes = cut.take<double>(6 * bodies);
    now = cut.take<double>(7 * bodies);
    before = cut.take<float>(6 * bodies);
    number = cut.take<float>(bodies);
    look = cut.take<uint8_t>(bodies);
  }
};

float sum(Float8 a) {
  typedef float Float4 __attribute__((vector_size(16)));
  Float4 half[2];
  std::memcpy(half, &a, sizeof a);
  half[0] += half[1];
  return (half[0][0] + half[0][2]) + (half[0][1] + half[0][3]);
}

Float8 along(const float* motion, const Vec3<Float8>& normal, const Vec3<Float8>& lever) {
  return motion[0] * normal.x + motion[1] * normal.y + motion[2] * normal.z + motion[3] * lever.x +
         motion[4] * lever.y + motion[5] * lever.z;
}

// to += impulses along normals and levers.
void collect(Float8 push, const Vec3<Float8>& normal, const Vec3<Float8>& lever, float linear, float angular, float* to) {
  to[0] += linear * sum(push * normal.x), to[1] += linear * sum(push * normal.y), to[2] += linear * sum(push * normal.z);
  to[3] += angular * sum(push * lever.x), to[4] += angular * sum(push * lever.y), to[5] += angular * sum(push * lever.z);
}

Vec3<Float8> lanes(const float (*vectors)[3]) {
  Vec3<Float8> out;
  for (int k = 0; k < MOST_CONTACTS; ++k) out.x[k] = vectors[k][0], out.y[k] = vectors[k][1], out.z[k] = vectors[k][2];
  return out;
}

// One state of a scene.
struct State {
  const SceneArrays& scene;
  const Separation& how;
  const int32_t* shape_ids;
  const uint8_t* kinds;
  const float *inverse_mass, *turning;
  SeenPair* seen;

  State(const SceneArrays& of, const Separation& separation, int64_t s)
      : scene(of), how(separation), shape_ids(of.shape_ids + s * of.bodies), kinds(of.kinds + s * of.bodies),
        inverse_mass(of.inverse_mass + s * of.bodies), turning(of.turning + s * of.bodies),
        seen(of.seen ? of.seen + s * of.pairs : nullptr) {}

  // What overlaps among bodies that are looked at and their partners.
  int find(const double* poses, const uint8_t* look, Room& room, Overlap* rows) const {
    for (int64_t b = 0; b < scene.bodies; ++b) {
      room.placed[b] = read_pose(poses + 7 * b);
      pose_box(room.placed[b], scene.shapes.boxes + 6 * shape_ids[b], room.boxes + 6 * b);
    }
    int count = 0;
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if (!look[a] && !look[b]) continue;
      if (!boxes_meet(room.boxes + 6 * a, room.boxes + 6 * b, how.reach)) continue;
      const PosedPair pair{shape_ids[a], shape_ids[b], room.placed + a, room.placed + b};
      PairContacts once;
      const PairContacts* looked =
          contacts_of(scene.shapes, pair, how.reach, BETWEEN_SAMPLES, seen ? seen + q : nullptr, once);
      if (!looked) continue;
      const PairContacts& found = *looked;
      if (*std::min_element(found.distance, found.distance + MOST_CONTACTS) >= -how.noticed) continue;
      Overlap& row = rows[count++];
      row.a = a, row.b = b;
      row.normal = lanes(found.normal);
      row.lever_a = cross(lanes(found.arm_a), row.normal);
      row.lever_b = cross(lanes(found.arm_b), row.normal);
      std::memcpy(&row.distance, found.distance, sizeof row.distance);
    }
    return count;
  }

  // What each contact gives way to a push, each body's mass split over its contacts.
  void weigh(Look& look, float* number) const {
    std::fill(number, number + scene.bodies, 0.0f);
    for (int i = 0; i < look.count; ++i) {
      float used = 0;
      for (int k = 0; k < MOST_CONTACTS; ++k) used += look.rows[i].distance[k] < 0;
      number[look.rows[i].a] += used, number[look.rows[i].b] += used;
    }
    for (int i = 0; i < look.count; ++i) {
      Overlap& row = look.rows[i];
      const int a = row.a, b = row.b;
      const Float8 give = (number[a] * inverse_mass[a] + number[b] * inverse_mass[b]) +
                          (number[a] * turning[a]) * dot(row.lever_a, row.lever_a) +
                          (number[b] * turning[b]) * dot(row.lever_b, row.lever_b);
      for (int k = 0; k < MOST_CONTACTS; ++k) {
        const bool gives = row.distance[k] < 0 && give[k] > 0;
        row.rate[k] = gives ? how.relaxation / std::max(give[k], 1e-9f) : 0.0f;
      }
      row.push = Float8{};
      row.active = Int8{};
    }
  }

  void solve(Look& look, Room& room) const {
    weigh(look, room.number);
    float *motion = look.motion, *before = room.before;
    std::fill(motion, motion + 6 * scene.bodies, 0.0f);
    for (int k = 0; k < how.iterations; ++k) {
      std::copy(motion, motion + 6 * scene.bodies, before);
      std::fill(motion, motion + 6 * scene.bodies, 0.0f);
      for (int i = 0; i < look.count; ++i) {
        Overlap& row = look.rows[i];
        const Float8 gap = row.distance + along(before + 6 * row.a, row.normal, row.lever_a) -
                           along(before + 6 * row.b, row.normal, row.lever_b) + how.target;
        const Float8 push = row.push - row.rate * gap;
        const Int8 pushes = push > 0.0f;
        row.push = pushes ? push : Float8{};
        row.active |= pushes & static_cast<int32_t>(1u << k);
        if (inverse_mass[row.a] > 0)
          collect(row.push, row.normal, row.lever_a, inverse_mass[row.a], turning[row.a], motion + 6 * row.a);
        if (inverse_mass[row.b] > 0)
          collect(-row.push, row.normal, row.lever_b, inverse_mass[row.b], turning[row.b], motion + 6 * row.b);
      }
    }
  }

  // Looks and solves until nothing overlaps; room.now is where bodies end. Returns how many looks found something, of
  // which the last `kept` of room.looks are filled. room.look says what is to be looked at then.
  int run(const double* poses, const double* motion, const uint8_t* looked_at, Room& room, int kept) const {
    std::copy(poses, poses + 7 * scene.bodies, room.now);
    for (int64_t b = 0; b < scene.bodies; ++b) move_pose(room.now + 7 * b, motion + 6 * b);
    bool any = false;
    for (int64_t b = 0; b < scene.bodies; ++b) any |= room.look[b] = looked_at[b] && kinds[b] == FREE;
    if (!any) return 0;
    for (int k = 0; k < how.looks; ++k) {
      Look& look = room.looks[k % kept];
      look.count = find(room.now, room.look, room, look.rows);
      if (!look.count) return k;
      std::copy(room.now, room.now + 7 * scene.bodies, look.poses);
      solve(look, room);
      for (int64_t b = 0; b < scene.bodies; ++b) move_pose(room.now + 7 * b, look.motion + 6 * b);
      std::fill(room.look, room.look + scene.bodies, uint8_t{0});
      for (int i = 0; i < look.count; ++i)
        for (int body : {look.rows[i].a, look.rows[i].b}) room.look[body] = kinds[body] == FREE;
    }
    return how.looks;
  }

  // The share of its way that a tool must give back where what it overlaps could not give way.
  float squeezed(const double* way, Room& room) const {
    float share = 0;
    Overlap* rows = room.looks[0].rows;
    const int count = find(room.now, room.look, room, rows);
    for (int i = 0; i < count; ++i) {
      const Overlap& row = rows[i];
      const bool is_a = kinds[row.a] == TOOL;
      if (!is_a && kinds[row.b] != TOOL) continue;
      float motion[6];
      for (int k = 0; k < 6; ++k) motion[k] = static_cast<float>(way[6 * (is_a ? row.a : row.b) + k]);
      const Float8 deeper = is_a ? -along(motion, row.normal, row.lever_a) : along(motion, row.normal, row.lever_b);
      for (int k = 0; k < MOST_CONTACTS; ++k)
        if (deeper[k] > 1e-6f) share = std::max(share, std::min(1.0f, (-row.distance[k] - how.slop) / deeper[k]));
    }
    return share;
  }

  // by_gap: gradient by each contact's distance, given that by the motion that follows. `gradient` [B, 6] is used up.
  void solve_backward(const Look& look, float* gradient, float* next, Overlap* rows) const {
    for (int i = 0; i < look.count; ++i) rows[i].push = rows[i].distance = Float8{};  // now gradients by these
    for (int k = how.iterations - 1; k >= 0; --k) {
      std::fill(next, next + 6 * scene.bodies, 0.0f);
      for (int i = 0; i < look.count; ++i) {
        Overlap& row = rows[i];
        float of_a[6], of_b[6];
        for (int j = 0; j < 6; ++j) {
          of_a[j] = (j < 3 ? inverse_mass : turning)[row.a] * gradient[6 * row.a + j];
          of_b[j] = (j < 3 ? inverse_mass : turning)[row.b] * gradient[6 * row.b + j];
        }
        const Float8 by_push = row.push + along(of_a, row.normal, row.lever_a) - along(of_b, row.normal, row.lever_b);
        row.push = (row.active & static_cast<int32_t>(1u << k)) != 0 ? by_push : Float8{};
        const Float8 by_gap = -row.rate * row.push;
        row.distance += by_gap;
        if (inverse_mass[row.a] > 0) collect(by_gap, row.normal, row.lever_a, 1, 1, next + 6 * row.a);
        if (inverse_mass[row.b] > 0) collect(-by_gap, row.normal, row.lever_b, 1, 1, next + 6 * row.b);
      }
      std::copy(next, next + 6 * scene.bodies, gradient);
    }
  }

  // gradient [B, 7], by the poses after a look, becomes that by the poses before it.
  void look_backward(const Look& look, Room& room, double* gradient) const {
    float* by_motion = room.before;
    for (int64_t b = 0; b < scene.bodies; ++b)
      move_backward(look.poses + 7 * b, look.motion + 6 * b, gradient + 7 * b, by_motion + 6 * b);
    solve_backward(look, by_motion, look.motion, look.rows);
    // Distances change with the poses of both bodies.
    std::fill(by_motion, by_motion + 6 * scene.bodies, 0.0f);
    for (int i = 0; i < look.count; ++i) {
      const Overlap& row = look.rows[i];
      collect(row.distance, row.normal, row.lever_a, 1, 1, by_motion + 6 * row.a);
      collect(-row.distance, row.normal, row.lever_b, 1, 1, by_motion + 6 * row.b);
    }
    for (int64_t b = 0; b < scene.bodies; ++b) {
      const float* g = by_motion + 6 * b;
      for (int k = 0; k < 3; ++k) gradient[7 * b + k] += g[k];
      const Quat<double> turn{0, 2.0 * g[3], 2.0 * g[4], 2.0 * g[5]};
      set_quat(gradient + 7 * b, quat_of(gradient + 7 * b) + multiply(turn, quat_of(look.poses + 7 * b)));
    }
  }

  // gradient [7], by a moved pose, becomes that by the pose; by_motion [6].
  template <class T>
  static void move_backward(const double* pose, const T* motion, double* gradient, T* by_motion) {
    std::fill(by_motion, by_motion + 6, T{0});
    if (std::all_of(motion, motion + 6, [](T m) { return m == 0; })) return;
    const Vec3<double> half{0.5 * motion[3], 0.5 * motion[4], 0.5 * motion[5]};
    const Quat<double> step = turn_by(half), from = quat_of(pose), raw = multiply(step, from);
    const double inverse = 1 / std::sqrt(dot(raw, raw));
    const Quat<double> by_raw = normalize_backward(inverse * raw, inverse, quat_of(gradient));
    const Quat<double> by_step = multiply(by_raw, conjugate(from));
    // step = (cos a, sin(a) / a half), a = |half|
    const double a2 = dot(half, half), a = std::sqrt(a2), share = a > 0 ? std::sin(a) / a : 1.0;
    const double bend = a > 1e-4 ? (std::cos(a) - share) / a2 : -1.0 / 3;
    const Vec3<double> by_axis{by_step.x, by_step.y, by_step.z};
    const Vec3<double> by_half = share * by_axis + (bend * dot(half, by_axis) - share * by_step.w) * half;
    for (int k = 0; k < 3; ++k) by_motion[k] = static_cast<T>(gradient[k]);
    by_motion[3] = static_cast<T>(0.5 * by_half.x);
    by_motion[4] = static_cast<T>(0.5 * by_half.y);
    by_motion[5] = static_cast<T>(0.5 * by_half.z);
    set_quat(gradient, multiply(conjugate(step), by_raw));
  }
};

}  // namespace

int64_t separation_room(int64_t bodies, int64_t pairs, int looks) {
  Cutter cut(nullptr);
  Room room(cut, bodies, pairs, looks);
  return cut.used();
}

void separate(const SceneArrays& scene, const Separation& how, const double* poses, const double* motion,
              const uint8_t* looked_at, const double* way, const Rooms& rooms, double* after, float* squeezed) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    Cutter cut(bytes);
    Room room(cut, scene.bodies, scene.pairs, 1);
    const State state(scene, how, s);
    const int64_t first = s * scene.bodies;
    const int looks = state.run(poses + 7 * first, motion + 6 * first, looked_at + first, room, 1);
    squeezed[s] = looks == how.looks ? state.squeezed(way + 6 * first, room) : 0.0f;
    std::copy(room.now, room.now + 7 * scene.bodies, after + 7 * first);
  });
}

void separate_backward(const SceneArrays& scene, const Separation& how, const double* poses, const double* motion,
                       const uint8_t* looked_at, const double* by_after, const Rooms& rooms, double* by_poses,
                       double* by_motion) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    Cutter cut(bytes);
    Room room(cut, scene.bodies, scene.pairs, how.looks);
    const State state(scene, how, s);
    const int64_t first = s * scene.bodies;
    double* gradient = by_poses + 7 * first;
    std::copy(by_after + 7 * first, by_after + 7 * (first + scene.bodies), gradient);
    const int looks = state.run(poses + 7 * first, motion + 6 * first, looked_at + first, room, how.looks);
    for (int k = looks - 1; k >= 0; --k) state.look_backward(room.looks[k], room, gradient);
    for (int64_t b = first; b < first + scene.bodies; ++b)
      State::move_backward(poses + 7 * b, motion + 6 * b, by_poses + 7 * b, by_motion + 6 * b);
  });
}

}  // namespace splatworld
