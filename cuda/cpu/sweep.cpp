// How far tools get before they run into what cannot move; see splatworld/dynamics/step.py.
#include "cpu/placed.h"

namespace splatworld {
namespace {

struct Sweep {
  const SceneArrays& scene;
  double* ways;   // [B, 6]
  Pose* poses;    // [B]
  double* boxes;  // [B, 6]

  Sweep(Cutter& cut, const SceneArrays& of, double* of_tools)
      : scene(of), ways(of_tools), poses(cut.take<Pose>(of.bodies)), boxes(cut.take<double>(6 * of.bodies)) {}

  void put(int64_t s, int64_t b, const double* pose) {
    poses[b] = read_pose(pose);
    pose_box(poses[b], scene.shapes.boxes + 6 * scene.shape_ids[s * scene.bodies + b], boxes + 6 * b);
  }

  // How deep tools are in what is static, a `share` of their way along; how far above it within `reach`, negative.
  float depth(int64_t s, const double* from, double share, float reach) {
    const uint8_t* kinds = scene.kinds + s * scene.bodies;
    const int32_t* ids = scene.shape_ids + s * scene.bodies;
    for (int64_t b = 0; b < scene.bodies; ++b) {
      if (kinds[b] != TOOL) continue;
      double pose[7], part[6];
      for (int k = 0; k < 6; ++k) part[k] = share * ways[6 * b + k];
      std::copy(from + 7 * b, from + 7 * b + 7, pose);
      move_pose(pose, part);
      put(s, b, pose);
    }
    float least = reach;
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if (std::min(kinds[a], kinds[b]) != STATIC || std::max(kinds[a], kinds[b]) != TOOL) continue;
      if (boxes_meet(boxes + 6 * a, boxes + 6 * b, reach))
        least = std::min(least, least_distance(scene.shapes, {ids[a], ids[b], poses + a, poses + b}, least));
    }
    return -least;
  }

  // Whether some tool may run into what is static: between its ends it strays from their boxes by less than the chord of
  // its turn does from the arc.
  bool may_touch(int64_t s, const double* from, const double* to) {
    const uint8_t* kinds = scene.kinds + s * scene.bodies;
    for (int64_t b = 0; b < scene.bodies; ++b) {
      put(s, b, from + 7 * b);
      if (kinds[b] != TOOL) continue;
      double start[6], *box = boxes + 6 * b;
      std::copy(box, box + 6, start);
      put(s, b, to + 7 * b);
      const float* own = scene.shapes.boxes + 6 * scene.shape_ids[s * scene.bodies + b];
      double far2 = 0, turn2 = 0;
      for (int k = 0; k < 3; ++k) {
        const double far = std::max(std::abs(own[k]), std::abs(own[3 + k])), turn = ways[6 * b + 3 + k];
        far2 += far * far, turn2 += turn * turn;
      }
      const double stray = std::sqrt(far2) * turn2 / 8;
      for (int k = 0; k < 3; ++k) {
        box[k] = std::min(box[k], start[k]) - stray;
        box[3 + k] = std::max(box[3 + k], start[3 + k]) + stray;
      }
    }
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if (std::min(kinds[a], kinds[b]) == STATIC && std::max(kinds[a], kinds[b]) == TOOL &&
          boxes_meet(boxes + 6 * a, boxes + 6 * b, 0))
        return true;
    }
    return false;
  }

  // The share of their ways that tools get; `ways` are filled.
  float run(int64_t s, const double* from, const double* to, const SweepRules& rules) {
    bool moves = false;
    for (int64_t b = 0; b < scene.bodies; ++b) {
      const bool moved =
          scene.kinds[s * scene.bodies + b] == TOOL && !std::equal(from + 7 * b, from + 7 * b + 7, to + 7 * b);
      double* way = ways + 6 * b;
      if (moved) travel(from + 7 * b, to + 7 * b, way);
      if (!moved || std::all_of(way, way + 6, [&](double w) { return std::abs(w) <= rules.still; }))
        std::fill(way, way + 6, 0.0);
      else
        moves = true;
    }
    if (!moves || !may_touch(s, from, to)) return 1;
    const float allowed = std::max(depth(s, from, 0, 0), rules.slop);
    for (int k = 1; k <= rules.cuts; ++k) {
      const float high = depth(s, from, static_cast<double>(k) / rules.cuts, 0);
      if (high <= allowed + 1e-6f) continue;
      const float low = depth(s, from, (k - 1.0) / rules.cuts, rules.reach);
      const float share = std::min(std::max((allowed - low) / std::max(high - low, 1e-9f), 0.0f), 1.0f);
      return (static_cast<float>(k - 1) + share) / static_cast<float>(rules.cuts);
    }
    return 1;
  }
};

}  // namespace

int64_t sweep_room(const SceneArrays& scene) {
  Cutter cut(nullptr);
  Sweep sweep(cut, scene, nullptr);
  return cut.used();
}

void sweep_tools(const SceneArrays& scene, const SweepRules& rules, const double* poses, const double* ends,
                 const Rooms& rooms, float* done, double* ways, double* reached) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    const int64_t first = s * scene.bodies;
    Cutter cut(bytes);
    Sweep sweep(cut, scene, ways + 6 * first);
    done[s] = sweep.run(s, poses + 7 * first, ends + 7 * first, rules);
    for (int64_t i = first; i < first + scene.bodies; ++i) {
      const bool tool = std::any_of(ways + 6 * i, ways + 6 * i + 6, [](double w) { return w != 0; });
      const bool whole = tool && done[s] == 1;
      std::copy((whole ? ends : poses) + 7 * i, (whole ? ends : poses) + 7 * i + 7, reached + 7 * i);
      if (whole || !tool) continue;
      for (int k = 0; k < 6; ++k) ways[6 * i + k] *= done[s];
      move_pose(reached + 7 * i, ways + 6 * i);
    }
  });
}

}  // namespace splatworld
