// The bodies of one state during a step: where they start, and tools halfway and at the end of their ways as well.
#pragma once

#include <algorithm>

#include "cpu/contacts.h"
#include "cpu/states.h"

namespace splatworld {

constexpr int PHASES = 3;

struct Placed {
  const SceneArrays* scene;
  const int32_t* shape_ids;
  const uint8_t* kinds;
  Pose* poses;       // [PHASES, B], of tools only after the first
  double* boxes;     // [PHASES, B, 6]
  int64_t state;
  bool tools_move;

  Placed(Cutter& cut, const SceneArrays& of)
      : scene(&of), poses(cut.take<Pose>(PHASES * of.bodies)), boxes(cut.take<double>(PHASES * of.bodies * 6)) {}

  // States [S, B, 7] where all start and where tools end.
  void place(int64_t s, const double* starts, const double* ends) {
    const int64_t bodies = scene->bodies, first = s * bodies;
    state = s;
    shape_ids = scene->shape_ids + first, kinds = scene->kinds + first;
    tools_move = false;
    for (int64_t b = 0; b < bodies; ++b) {
      const double *start = starts + 7 * (first + b), *end = ends + 7 * (first + b);
      put(0, b, start);
      if (kinds[b] != TOOL) continue;
      tools_move |= !std::equal(start, start + 7, end);
      double way[6], middle[7];
      travel(start, end, way);
      for (double& w : way) w *= 0.5;
      std::copy(start, start + 7, middle);
      move_pose(middle, way);
      put(1, b, middle);
      put(2, b, end);
    }
  }

  // How often a pair is looked at.
  int phases(int a, int b) const { return tools_move && (kinds[a] == TOOL || kinds[b] == TOOL) ? PHASES : 1; }

  bool near(int phase, int a, int b, double reach) const {
    return boxes_meet(boxes + 6 * row(phase, a), boxes + 6 * row(phase, b), reach);
  }

  PosedPair pair(int phase, int a, int b) const {
    return {shape_ids[a], shape_ids[b], poses + row(phase, a), poses + row(phase, b)};
  }

  // The contacts of pair q, nearer than `reach`.
  const PairContacts& contacts(int phase, int64_t q, float reach, PairContacts& room) const {
    const int a = scene->pair[2 * q], b = scene->pair[2 * q + 1];
    SeenPair* seen = scene->seen && phase == 0 ? scene->seen + state * scene->pairs + q : nullptr;
    return *contacts_of(scene->shapes, pair(phase, a, b), reach, ANY, seen, room);
  }

 private:
  int64_t row(int phase, int body) const { return (kinds[body] == TOOL ? phase : 0) * scene->bodies + body; }

  void put(int phase, int64_t body, const double* pose) {
    const int64_t at = phase * scene->bodies + body;
    poses[at] = read_pose(pose);
    pose_box(poses[at], scene->shapes.boxes + 6 * shape_ids[body], boxes + 6 * at);
  }
};

}  // namespace splatworld
