// How bodies move that are as they are believed to be; see splatworld/dynamics/coasting.py. Jean, "The non-smooth
// contact dynamics method" (1999): implicit steps, contact by contact over and over (Gauss-Seidel).
#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "cpu/contacts.h"
#include "cpu/impulses.h"
#include "cpu/states.h"

namespace splatworld {
namespace {

constexpr int PAIR_CONTACTS = 4;
constexpr int TOGETHER = 4;    // states solved side by side: each contact waits for the one before, but not for others'
constexpr int LEVELS = 3;      // of a pile, whose weight is borne from the first
constexpr float FLAT = 1e-6f;  // m^2 by which feet count as apart that are in a row

// `pose` displaced by v of a point of the body at `center`, body axes.
void move_pose_by(double* pose, Float8 v, Vec3<double> center = {0, 0, 0}) {
  const float motion[6] = {v[0], v[1], v[2], v[4], v[5], v[6]};
  const Vec3<double> before = apply(read_pose(pose).turn, center);
  move_pose(pose, motion);
  const Vec3<double> after = apply(read_pose(pose).turn, center);
  pose[0] += before.x - after.x, pose[1] += before.y - after.y, pose[2] += before.z - after.z;
}

Vec3<float> vec3(const float* v) { return {v[0], v[1], v[2]}; }

Vec3<float> angular(Float8 twist) { return {twist[4], twist[5], twist[6]}; }

Mat3<float> inverse(const Mat3<float>& a) {
  Mat3<float> out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      const int k = (j + 1) % 3, l = (j + 2) % 3, m = (i + 1) % 3, n = (i + 2) % 3;
      out.m[i][j] = a.m[k][m] * a.m[l][n] - a.m[k][n] * a.m[l][m];
    }
  const float det = a.m[0][0] * out.m[0][0] + a.m[0][1] * out.m[1][0] + a.m[0][2] * out.m[2][0];
  for (auto& row : out.m)
    for (float& v : row) v /= det;
  return out;
}

// The contacts of a pair.
struct Pair {
  int with;      // statics first, tools last: they have the last word
  int apart;     // then nearer bodies first, to a millimetre, so that their numbers hardly matter
  int64_t pair;
  int first, end;

  bool operator<(const Pair& other) const {
    return std::tie(with, apart, pair) < std::tie(other.with, other.apart, other.pair);
  }
};

struct Room {
  double* now;        // [B, 7]
  Pose* placed;       // [B]
  double* boxes;      // [B, 6]
  Float8* own;        // [B] twists of what goes its own way
  int* mover;         // [B] which, or -1
  Mover* movers;      // [B]
  Pair* pairs;        // [P]
  Contact* contacts;  // [P PAIR_CONTACTS]
  Contact** order;    // [P PAIR_CONTACTS] in which they are settled

  Room(Cutter& cut, int64_t bodies, int64_t count) {
    now = cut.take<double>(7 * bodies);
    placed = cut.take<Pose>(bodies);
    boxes = cut.take<double>(6 * bodies);
    own = cut.take<Float8>(bodies);
    mover = cut.take<int>(bodies);
    movers = cut.take<Mover>(bodies);
    pairs = cut.take<Pair>(count);
    contacts = cut.take<Contact>(count * PAIR_CONTACTS);
    order = cut.take<Contact*>(count * PAIR_CONTACTS);
  }
};

struct State {
  const SceneArrays& scene;
  const CoastingRules& rules;
  const CoastingInputs& in;
  Room& room;
  const int64_t number, first;  // of the state, and of its first body
  const uint8_t* kinds;
  const int32_t* shape_ids;
  SeenPair* seen;
  int movers = 0, pairs = 0, contacts = 0;
  float changed = 0;  // m/s in the last iteration

  State(const SceneArrays& of, const CoastingRules& by, const CoastingInputs& inputs, Room& within, int64_t s)
      : scene(of), rules(by), in(inputs), room(within), number(s), first(s * of.bodies), kinds(of.kinds + first),
        shape_ids(of.shape_ids + first), seen(of.seen ? of.seen + s * of.pairs : nullptr) {}

  // Finds what touches where bodies are now.
  void prepare(float seconds) {
    const Float8 fall = seconds * six(vec3(in.gravity), {0, 0, 0});
    for (int m = 0; m < movers; ++m) room.movers[m].twist += fall;
    place();
    look(seconds);
    stand(seconds);
  }

  // Moves bodies on in step k, as their contacts let them.
  void move(int k, float seconds) {
    const Float8 fall = seconds * six(vec3(in.gravity), {0, 0, 0});
    for (int i = 0; i < contacts; ++i) {
      const Contact& each = room.contacts[i];
      if (!(each.impulse[0] > 0)) continue;
      room.movers[each.a].pushed = true;
      if (each.b >= 0) room.movers[each.b].pushed = true;
    }
    for (int m = 0; m < movers; ++m) {
      Mover& each = room.movers[m];
      // What nothing holds falls as a parabola does.
      move_pose_by(room.now + 7 * each.body, seconds * (each.twist - (each.pushed ? 0.0f : 0.5f) * fall), each.center);
      each.pushed = false;
    }
    for (int64_t b = 0; b < scene.bodies; ++b)
      if (kinds[b] == TOOL) {
        std::copy(in.poses + 7 * (first + b), in.poses + 7 * (first + b + 1), room.now + 7 * b);
        move_pose_by(room.now + 7 * b, static_cast<float>(k + 1) * seconds * room.own[b]);
      }
  }

  void finish(int64_t row) {
    for (int m = 0; m < movers; ++m, ++row) {
      Mover& each = room.movers[m];
      look_at(each);
      each.twist -= six(cross(angular(each.twist), each.lever), {0, 0, 0});
      double way[6];
      travel(in.poses + 7 * (first + each.body), room.now + 7 * each.body, way);
      for (int k = 0; k < 6; ++k) {
        in.motion[6 * row + k] = static_cast<float>(way[k]);
        in.twist[6 * row + k] = each.twist[k + k / 3];
      }
    }
  }

  void begin(int64_t row, int64_t end) {
    std::copy(in.poses + 7 * first, in.poses + 7 * (first + scene.bodies), room.now);
    std::fill(room.mover, room.mover + scene.bodies, -1);
    for (int64_t b = 0; b < scene.bodies; ++b) {
      double way[6] = {0, 0, 0, 0, 0, 0};
      if (kinds[b] == TOOL) travel(in.poses + 7 * (first + b), in.ends + 7 * (first + b), way);
      for (double& w : way) w /= in.seconds;
      room.own[b] = six(way);
    }
    for (; row < end; ++row) {
      const int64_t b = in.body[row];
      const float *s = in.spread + 9 * shape_ids[b], *known = in.latents + (first + b) * in.latent_count;
      const float mass = std::max(in.typical_mass[first + b], 1e-3f) * std::exp(known[MASS]);
      Mat3<float> inertia;
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
          inertia.m[i][j] = mass * ((i == j ? s[0] + s[4] + s[8] + 1e-6f : 0.0f) - s[3 * i + j]);
      room.mover[b] = movers;
      double center[3];
      for (int k = 0; k < 3; ++k) center[k] = double(known[CENTER + k]) * std::sqrt(std::max(s[4 * k], 0.0f));
      Mover& each = room.movers[movers++];
      each = {static_cast<int>(b), 1 / mass, inverse(inertia), {}, {center[0], center[1], center[2]}, {}, Float8{}, false};
      look_at(each);
      each.twist = six(in.twists + 6 * (first + b));
      each.twist += six(cross(angular(each.twist), each.lever), {0, 0, 0});
    }
  }

  // Where the centre of mass of a mover lies now.
  void look_at(Mover& each) const {
    const Vec3<double> lever = apply(read_pose(room.now + 7 * each.body).turn, each.center);
    each.lever = {float(lever.x), float(lever.y), float(lever.z)};
  }

  void place() {
    for (int64_t b = 0; b < scene.bodies; ++b) {
      room.placed[b] = read_pose(room.now + 7 * b);
      pose_box(room.placed[b], scene.shapes.boxes + 6 * shape_ids[b], room.boxes + 6 * b);
    }
    for (int m = 0; m < movers; ++m) {
      Mover& each = room.movers[m];
      look_at(each);
      const Mat3<double>& turn = room.placed[each.body].turn;
      float half[3][3];
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          half[i][j] = 0;
          for (int k = 0; k < 3; ++k) half[i][j] += static_cast<float>(turn.m[i][k]) * each.readiness.m[k][j];
        }
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          each.turning.m[i][j] = 0;
          for (int k = 0; k < 3; ++k) each.turning.m[i][j] += half[i][k] * static_cast<float>(turn.m[j][k]);
        }
    }
  }

  // Bodies that are asleep are not in the way: what runs into them is moved out by `separate`.
  bool takes_part(int64_t b) const { return kinds[b] != FREE || room.mover[b] >= 0; }

  void look(float seconds) {
    pairs = contacts = 0;
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if ((room.mover[a] < 0 && room.mover[b] < 0) || !takes_part(a) || !takes_part(b)) continue;
      if (!boxes_meet(room.boxes + 6 * a, room.boxes + 6 * b, rules.reach)) continue;
      const PosedPair pair{shape_ids[a], shape_ids[b], room.placed + a, room.placed + b};
      PairContacts once;
      const PairContacts& found = *contacts_of(scene.shapes, pair, rules.reach, ANY, seen ? seen + q : nullptr, once);
      const int before = contacts;
      for (int k = 0; k < std::min(found.count, PAIR_CONTACTS); ++k) {
        const Vec3<float> normal = vec3(found.normal[k]), arm_a = vec3(found.arm_a[k]), arm_b = vec3(found.arm_b[k]);
        Contact& each = room.contacts[contacts];
        if (room.mover[a] >= 0) touch(each, a, b, normal, arm_a, arm_b);
        else touch(each, b, a, -1.0f * normal, arm_b, arm_a);
        each.gap = found.distance[k];
        each.close_within(seconds, rules.slop);
        contacts += each.gap + seconds * each.opening(room.movers)[0] < rules.near;
      }
      if (contacts == before) continue;
      const int with = kinds[a] == FREE && kinds[b] == FREE ? 1 : kinds[a] == TOOL || kinds[b] == TOOL ? 2 : 0;
      const Vec3<double> between = room.placed[b].move - room.placed[a].move;
      const int apart = static_cast<int>(std::min(1e6, 1e3 * std::sqrt(dot(between, between))));
      room.pairs[pairs++] = {with, apart, q, before, contacts};
    }
    std::sort(room.pairs, room.pairs + pairs);
    int count = 0;
    for (const Pair* pair = room.pairs; pair < room.pairs + pairs; ++pair)
      for (int i = pair->first; i < pair->end; ++i) room.order[count++] = room.contacts + i;
  }

  void touch(Contact& to, int a, int b, Vec3<float> normal, Vec3<float> arm_a, Vec3<float> arm_b) const {
    // The first direction across lies along the arms, so that turning the world turns it.
    const Vec3<float> arm = room.mover[b] < 0 ? arm_a : arm_a + arm_b;
    Vec3<float> across = arm - dot(arm, normal) * normal;
    if (dot(across, across) < 1e-8f)
      across = cross(normal, std::abs(normal.x) < 0.5f ? Vec3<float>{1, 0, 0} : Vec3<float>{0, 1, 0});
    across = (1 / std::sqrt(dot(across, across))) * across;
    const Vec3<float> directions[3] = {normal, across, cross(normal, across)};
    const int movers_of[2] = {room.mover[a], room.mover[b]};
    Vec3<float> arms[2] = {arm_a, arm_b};
    for (int side = 0; side < 2; ++side)
      if (movers_of[side] >= 0) arms[side] = arms[side] - room.movers[movers_of[side]].lever;
    to.a = movers_of[0], to.b = movers_of[1];
    to.friction = friction(a, b);
    to.own = to.opens = Float4{};
    float give[3] = {0, 0, 0};
    for (int side = 0; side < 2; ++side) {
      for (int d = 0; d < 3; ++d) {
        const Vec3<float> lever = cross(arms[side], directions[d]);
        const float values[6] = {directions[d].x, directions[d].y, directions[d].z, lever.x, lever.y, lever.z};
        for (int k = 0; k < 6; ++k) to.wrench[side][k][d] = values[k];
        to.impulse[d] = 0;
        if (movers_of[side] < 0) continue;
        const Mover& mover = room.movers[movers_of[side]];
        const Vec3<float> turned = apply(mover.turning, lever);
        to.gain[side][d] = six(mover.lightness * directions[d], turned);
        give[d] += mover.lightness + dot(turned, lever);
      }
      if (movers_of[side] < 0) to.own = to.along(side, room.own[b]);
      else to.opens += to.along(side, to.gain[side][0]);
    }
    to.ease[3] = 1;
    for (int d = 0; d < 3; ++d) to.ease[d] = 1 / give[d];
  }

  // Of a mover with what carries or pushes it; of two movers nothing is known.
  float friction(int a, int b) const {
    if (room.mover[b] >= 0) return rules.friction;
    const float* known = in.latents + (first + a) * in.latent_count;
    return rules.friction * std::exp(known[kinds[b] == TOOL ? TOOL_FRICTION : SUPPORT_FRICTION]);
  }

  // Begins with what each body bears, in balance on its feet: many ways to carry it are as good, and this one is near.
  void stand(float seconds) {
    for (int level = 0; level < LEVELS; ++level)
      for (int m = 0; m < movers; ++m) bear(m, seconds);
    for (int i = 0; i < contacts; ++i) {
      Contact& at = room.contacts[i];
      at.push(room.movers, std::exchange(at.impulse[0], 0.0f), 0, 0);
    }
  }

  // Impulses on the feet of a mover, linear in where they are, that hold its weight and what it bears.
  void bear(int m, float seconds) {
    Mat3<float> feet{};
    Vec3<float> load{seconds * std::abs(in.gravity[2]) / room.movers[m].lightness, 0, 0};
    for (int i = 0; i < contacts; ++i) {
      const Contact& at = room.contacts[i];
      const float up = at.upward();
      if (up == 0 || (at.a != m && at.b != m)) continue;
      const int side = at.a != m;
      const float place[3] = {1, up * at.wrench[side][3][0], up * at.wrench[side][4][0]};
      if ((up > 0) == (side == 0)) {
        for (int j = 0; j < 3; ++j)
          for (int k = 0; k < 3; ++k) feet.m[j][k] += place[j] * place[k] + (j == k && j > 0 ? FLAT : 0.0f);
      } else {
        load = load + at.impulse[0] * vec3(place);
      }
    }
    if (feet.m[0][0] == 0) return;
    const Vec3<float> slope = apply(inverse(feet), load);
    for (int i = 0; i < contacts; ++i) {
      Contact& at = room.contacts[i];
      const float up = at.upward();
      if ((up > 0 ? at.a : up < 0 ? at.b : -1) != m) continue;
      const Float4* wrench = at.wrench[up < 0];
      at.impulse[0] = std::max(slope.x + up * (slope.y * wrench[3][0] + slope.z * wrench[4][0]), 0.0f);
    }
  }

  // Settles the contact that is number i in order, if there are so many.
  void settle(int i) {
    if (i < contacts) changed = std::max(changed, room.order[i]->settle(room.movers));
  }

  // Whether another iteration is needed. One carries a push one body farther, and what is left to do shrinks the more
  // slowly the longer the pile.
  bool goes_on(int iterations) const {
    return iterations < rules.iterations * movers && !(changed < rules.settled / static_cast<float>(movers * movers));
  }
};

// Settles the contacts of some states over and over, each state's in its own order.
void solve(State** states, int count) {
  for (int iterations = 0; count > 0; ++iterations) {
    int most = 0;
    for (int k = 0; k < count; ++k) states[k]->changed = 0, most = std::max(most, states[k]->contacts);
    for (int i = 0; i < most; ++i)
      for (int k = 0; k < count; ++k) states[k]->settle(i);
    count = static_cast<int>(std::partition(states, states + count, [&](const State* each) {
      return each->goes_on(iterations + 1);
    }) - states);
  }
}

}  // namespace

int64_t coasting_room(const SceneArrays& scene) {
  Cutter cut(nullptr);
  for (int k = 0; k < TOGETHER; ++k) Room(cut, scene.bodies, scene.pairs);
  return cut.used();
}

void coast_bodies(const SceneArrays& scene, const CoastingRules& rules, const CoastingInputs& in, const Rooms& rooms) {
  const float seconds = static_cast<float>(in.seconds / rules.steps);
  for_each((scene.states + TOGETHER - 1) / TOGETHER, rooms, [&](char* bytes, int64_t part) {
    Cutter cut(bytes);
    std::array<std::optional<Room>, TOGETHER> own;
    std::array<std::optional<State>, TOGETHER> states;
    int count = 0;
    const int64_t end = std::min(scene.states, (part + 1) * TOGETHER);
    for (int64_t s = part * TOGETHER; s < end; ++s) {
      if (in.first[s] == in.first[s + 1]) continue;
      own[count].emplace(cut, scene.bodies, scene.pairs);
      states[count].emplace(scene, rules, in, *own[count], s);
      states[count++]->begin(in.first[s], in.first[s + 1]);
    }
    for (int k = 0; k < rules.steps; ++k) {
      State* left[TOGETHER];
      for (int i = 0; i < count; ++i) (left[i] = &*states[i])->prepare(seconds);
      solve(left, count);
      for (int i = 0; i < count; ++i) states[i]->move(k, seconds);
    }
    for (int i = 0; i < count; ++i) states[i]->finish(in.first[states[i]->number]);
  }, 1);
}

}  // namespace splatworld
