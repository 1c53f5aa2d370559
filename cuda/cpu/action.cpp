// One action of many states without gradients; see splatworld/dynamics/step.py, which says the same for training.
#include <algorithm>
#include <cmath>

#include "cpu/contacts.h"
#include "cpu/states.h"

namespace splatworld {
namespace {

struct Room {
  double *now, *next, *reached, *ends, *ways, *motion;  // [S, B, 7 or 6]
  uint8_t *awake, *fine, *driven, *wanted;              // [S, B]
  float *squeezed, *left;                               // [S]
  int64_t *first, *state, *body, *again;                // [S + 1], [N]
  TouchArrays touch;                                    // [N]
  float *coasting, *after;                              // [N, 6]
  MotionOutputs said;                                   // [N]
  float* tables;                                        // [2, S, B, 6]
  SeenPair* seen;                                       // [S, P]
  char* work;                                           // of one kernel after the other

  Room(Cutter& cut, const SceneArrays& scene, const NetworkArrays& net, int64_t states) {
    const int64_t bodies = states * scene.bodies, slots = bodies * TOUCH_SLOTS;
    for (double** each : {&now, &next, &reached, &ends}) *each = cut.take<double>(7 * bodies);
    for (double** each : {&ways, &motion}) *each = cut.take<double>(6 * bodies);
    for (uint8_t** each : {&awake, &fine, &driven, &wanted}) *each = cut.take<uint8_t>(bodies);
    for (float** each : {&squeezed, &left}) *each = cut.take<float>(states);
    first = cut.take<int64_t>(states + 1);
    for (int64_t** each : {&state, &body, &again}) *each = cut.take<int64_t>(bodies);
    for (int64_t** each : {&touch.partner, &touch.kind, &touch.phase}) *each = cut.take<int64_t>(slots);
    for (float** each : {&touch.distance, &touch.weight}) *each = cut.take<float>(slots);
    for (float** each : {&touch.normal, &touch.arm, &touch.partner_arm}) *each = cut.take<float>(3 * slots);
    for (float** each : {&coasting, &after, &said.motion, &said.twist, &said.variance})
      *each = cut.take<float>(6 * bodies);
    for (float** each : {&said.members, &said.log_variance}) *each = cut.take<float>(12 * net.members * bodies);
    said.heading = cut.take<float>(2 * bodies);
    tables = cut.take<float>(12 * bodies);
    seen = cut.take<SeenPair>(states * scene.pairs);
    work = cut.take<char>(std::max({sweep_room(scene), islands_room(scene), touches_room(scene), coasting_room(scene),
                                    network_room(net), separation_room(scene.bodies, scene.pairs, 1)}));
  }
};

// Some states of a batch during one action.
struct Part {
  const SceneArrays scene;
  const ActionRules& rules;
  const NetworkArrays& net;
  const ActionInputs in;
  const ActionOutputs out;
  Room& room;
  const Rooms work;
  const int64_t bodies;  // of all its states

  void run() {
    const bool gravity = std::any_of(in.gravity, in.gravity + 3, [](float g) { return g != 0; });
    sweep_tools(scene, rules.sweep, in.poses, in.ends, work, out.done, room.ways, room.reached);
    find_islands(scene, rules.islands, {in.poses, in.twists, room.reached, in.unsure, rules.seconds, gravity}, work,
                 {room.awake, room.fine, room.driven});
    std::fill(out.failed, out.failed + scene.states, uint8_t{0});
    std::copy(in.poses, in.poses + 7 * bodies, room.now);
    std::copy(in.twists, in.twists + 6 * bodies, out.twists);
    std::copy(in.variance, in.variance + 6 * bodies, out.variance);
    for (float* each : {room.squeezed, room.left}) std::fill(each, each + scene.states, 0.0f);
    for (int64_t i = 0; i < bodies; ++i) room.wanted[i] = room.awake[i] && !room.fine[i];
    advance(room.reached, WHOLE, rules.seconds, room.squeezed);
    place_tools(in.poses, room.now);
    for (int k = 1; k <= rules.substeps; ++k) {
      std::copy(room.fine, room.fine + bodies, room.wanted);
      advance(k == rules.substeps ? room.reached : on_their_way(k), SHORT, rules.seconds / rules.substeps, room.left);
    }
    for (int64_t s = 0; s < scene.states; ++s) room.squeezed[s] = std::max(room.squeezed[s], room.left[s]);
    finish();
  }

 private:
  enum Pace { WHOLE, SHORT };

  void place_tools(const double* from, double* to) const {
    for (int64_t i = 0; i < bodies; ++i)
      if (scene.kinds[i] == TOOL) std::copy(from + 7 * i, from + 7 * i + 7, to + 7 * i);
  }

  // Where tools are after k short steps.
  const double* on_their_way(int k) const {
    std::copy(in.poses, in.poses + 7 * bodies, room.ends);
    for (int64_t i = 0; i < bodies; ++i) {
      double way[6];
      for (int j = 0; j < 6; ++j) way[j] = static_cast<double>(k) / rules.substeps * room.ways[6 * i + j];
      move_pose(room.ends + 7 * i, way);
    }
    return room.ends;
  }

  // One step of the bodies that are wanted; in a state in which it fails, none is any more.
  void advance(const double* ends, Pace pace, double seconds, float* squeezed) {
    int64_t count = 0;
    for (int64_t s = 0; s < scene.states; ++s) {
      room.first[s] = count;
      for (int64_t b = 0; b < scene.bodies; ++b) {
        uint8_t& wanted = room.wanted[s * scene.bodies + b];
        wanted = wanted && !out.failed[s];
        if (wanted) room.state[count] = s, room.body[count++] = b;
      }
    }
    room.first[scene.states] = count;
    if (!count) return;
    predict(count, ends, pace, seconds);
    take(count, pace);
    place_tools(ends, room.now);
    separate(scene, rules.separation, room.now, room.motion, room.wanted, room.ways, work, room.next, squeezed);
    std::swap(room.now, room.next);
  }

  void predict(int64_t count, const double* ends, Pace pace, double seconds) {
    find_touches(scene, rules.touch, room.now, ends, room.wanted, room.first, work, room.touch);
    coast_bodies(scene, rules.coasting[pace],
                 {room.first, room.body, room.now, out.twists, ends, in.typical_mass, in.latents,
                  in.latent_count, in.spread, in.gravity, seconds, room.coasting, room.after},
                 work);
    for (int64_t row = 0; row < count; ++row) fly(row, seconds);
    read_motion(scene, rules.scales, net,
                {count, room.state, room.body, room.now, out.twists, ends, room.coasting, room.after, in.latents,
                 in.latent_count, in.typical_mass, in.extremes, in.extreme_count, in.spread, in.gravity, seconds,
                 room.touch},
                work, room.tables, room.tables + 6 * bodies, room.again, room.said);
  }

  // What touches nothing before the step flies on a parabola, whatever it meets.
  void fly(int64_t row, double seconds) {
    const float* weight = room.touch.weight + row * TOUCH_SLOTS;
    if (std::any_of(weight, weight + TOUCH_SLOTS, [](float w) { return w > 0; })) return;
    const double* before = out.twists + 6 * at(row);
    const float whole = static_cast<float>(seconds), half = static_cast<float>(0.5 * seconds * seconds);
    for (int k = 0; k < 6; ++k) {
      const float speed = static_cast<float>(before[k]), fall = k < 3 ? in.gravity[k] : 0.0f;
      room.coasting[6 * row + k] = whole * speed + half * fall;
      room.after[6 * row + k] = speed + whole * fall;
    }
  }

  // Takes over what the network said where all of it is finite.
  void take(int64_t count, Pace pace) {
    for (int64_t i = 0; i < 6 * count; ++i)
      for (const float* values : {room.said.motion, room.said.twist, room.said.variance})
        if (!std::isfinite(values[i])) out.failed[room.state[i / 6]] = true;
    std::fill(room.motion, room.motion + 6 * bodies, 0.0);
    for (int64_t row = 0; row < count; ++row) {
      if (out.failed[room.state[row]]) {
        room.wanted[at(row)] = false;
        continue;
      }
      for (int k = 0; k < 6; ++k) {
        const int64_t i = 6 * at(row) + k, j = 6 * row + k;
        room.motion[i] = room.said.motion[j];
        out.twists[i] = room.said.twist[j];
        const double step = rules.scale[pace] * room.said.variance[j];
        out.variance[i] += step + 2 * rules.correlation[pace] * std::sqrt(out.variance[i]) * std::sqrt(step);
      }
    }
  }

  int64_t at(int64_t row) const { return room.state[row] * scene.bodies + room.body[row]; }

  void finish() {
    bool pinched = false;
    for (int64_t s = 0; s < scene.states; ++s) {
      for (int64_t i = s * scene.bodies; i < (s + 1) * scene.bodies; ++i) {
        double* twist = out.twists + 6 * i;
        if (room.awake[i] && !room.fine[i] && !room.driven[i]) calm(in.twists + 6 * i, twist);
        const bool moved = !std::equal(room.now + 7 * i, room.now + 7 * i + 7, in.poses + 7 * i);
        out.awake[i] = room.awake[i] || (scene.kinds[i] == FREE && moved);
        if (out.awake[i] && is_still(twist, rules.islands)) std::fill(twist, twist + 6, 0.0);
        room.wanted[i] = room.awake[i] && room.squeezed[s] > 0;
      }
      pinched |= room.squeezed[s] > 0;
    }
    if (pinched) give_room();
    place_tools(room.reached, room.now);
    std::copy(room.now, room.now + 7 * bodies, out.poses);
    for (int64_t s = 0; s < scene.states; ++s) {
      out.done[s] = out.failed[s] ? 0.0f : out.done[s] * (1 - room.squeezed[s]);
      if (out.failed[s]) keep(s * scene.bodies, (s + 1) * scene.bodies);
    }
  }

  // What creeps keeps at most half of its speed.
  void calm(const double* before, double* after) const {
    const double limits[2] = {rules.creep_speed, rules.creep_spin};
    double share[2];
    for (int k = 0; k < 2; ++k) {
      const double was = length(before + 3 * k), now = length(after + 3 * k);
      if (!(was < limits[k] && now < limits[k])) return;
      share[k] = std::min(was / 2 / std::max(now, 1e-12), 1.0);
    }
    for (int k = 0; k < 6; ++k) after[k] *= share[k / 3];
  }

  // What is pinched between a tool and something that does not give way stops the tool where it is free.
  void give_room() const {
    for (int64_t i = 0; i < bodies; ++i) {
      const float squeezed = room.squeezed[i / scene.bodies];
      if (!(squeezed > 0) || scene.kinds[i] != TOOL) continue;
      double way[6];
      for (int k = 0; k < 6; ++k) way[k] = (1 - squeezed) * room.ways[6 * i + k];
      std::copy(in.poses + 7 * i, in.poses + 7 * i + 7, room.reached + 7 * i);
      move_pose(room.reached + 7 * i, way);
    }
    place_tools(room.reached, room.now);
    std::fill(room.motion, room.motion + 6 * bodies, 0.0);
    std::fill(room.ends, room.ends + 6 * bodies, 0.0);  // ways of tools that stand still
    separate(scene, rules.separation, room.now, room.motion, room.wanted, room.ends, work, room.next, room.left);
    std::swap(room.now, room.next);
  }

  // Bodies of a state in which something was not finite stay as they were.
  void keep(int64_t from, int64_t to) const {
    std::copy(in.poses + 7 * from, in.poses + 7 * to, out.poses + 7 * from);
    std::copy(in.twists + 6 * from, in.twists + 6 * to, out.twists + 6 * from);
    std::copy(in.variance + 6 * from, in.variance + 6 * to, out.variance + 6 * from);
    std::copy(in.unsure + from, in.unsure + to, out.awake + from);
  }
};

// States that are worked on together: the network reads bodies of all of them side by side.
int64_t apiece(const SceneArrays& scene, int parts) {
  return std::min<int64_t>(std::max<int64_t>(scene.states / (4 * parts), 4), 32);
}

}  // namespace

int64_t action_room(const SceneArrays& scene, const NetworkArrays& net, int parts) {
  Cutter cut(nullptr);
  Room room(cut, scene, net, apiece(scene, parts));
  return cut.used();
}

void act_bodies(const SceneArrays& scene, const ActionRules& rules, const NetworkArrays& net, const ActionInputs& in,
                const Rooms& rooms, const ActionOutputs& out) {
  const int64_t few = apiece(scene, rooms.parts);
  for_each((scene.states + few - 1) / few, rooms, [&](char* bytes, int64_t k) {
    const int64_t first = k * few, count = std::min(few, scene.states - first), b = first * scene.bodies;
    Cutter cut(bytes);
    Room room(cut, scene, net, few);
    SceneArrays some = scene;
    some.states = count, some.seen = room.seen;
    for (int64_t q = 0; q < count * scene.pairs; ++q) room.seen[q].filled = false;
    some.shape_ids += b, some.kinds += b, some.inverse_mass += b, some.turning += b;
    ActionInputs from = in;
    from.poses += 7 * b, from.ends += 7 * b, from.twists += 6 * b, from.variance += 6 * b, from.unsure += b;
    from.latents += in.latent_count * b, from.typical_mass += b;
    const ActionOutputs to{out.poses + 7 * b, out.twists + 6 * b, out.variance + 6 * b, out.awake + b,
                           out.done + first, out.failed + first};
    Part{some, rules, net, from, to, room, {room.work, 0, 1}, count * scene.bodies}.run();
  }, 1);
}

}  // namespace splatworld
