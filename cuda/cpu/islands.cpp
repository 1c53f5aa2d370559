// Which bodies hang together with what moves; see splatworld/dynamics/islands.py.
#include "cpu/placed.h"

namespace splatworld {
namespace {

// Radius about a body's origin of a ball that holds it.
float reach_of(const float* box) {
  float middle2 = 0, half2 = 0;
  for (int k = 0; k < 3; ++k) {
    const float middle = 0.5f * (box[k] + box[3 + k]), half = 0.5f * (box[3 + k] - box[k]);
    middle2 += middle * middle, half2 += half * half;
    if (half < 0) return 0;  // it has no shape
  }
  return std::sqrt(middle2) + std::sqrt(half2);
}

enum Link : uint8_t { UNKNOWN, APART, LINKED };

struct Search {
  const SceneArrays& scene;
  const IslandLimits& limits;
  Placed placed;
  uint8_t *link, *active, *lively, *led, *collides, *held, *unsure;

  Search(Cutter& cut, const SceneArrays& of, const IslandLimits& within)
      : scene(of), limits(within), placed(cut, of), link(cut.take<uint8_t>(of.pairs)),
        active(cut.take<uint8_t>(of.bodies)), lively(cut.take<uint8_t>(of.bodies)), led(cut.take<uint8_t>(of.bodies)),
        collides(cut.take<uint8_t>(of.bodies)), held(cut.take<uint8_t>(of.bodies)),
        unsure(cut.take<uint8_t>(of.bodies)) {}

  bool linked(int64_t q, int a, int b) {
    if (link[q] == UNKNOWN) {
      link[q] = APART;
      for (int phase = 0; phase < placed.phases(a, b) && link[q] == APART; ++phase)
        if (placed.near(phase, a, b, limits.reach) && touch(phase, q, placed.pair(phase, a, b))) link[q] = LINKED;
    }
    return link[q] == LINKED;
  }

  bool touch(int phase, int64_t q, const PosedPair& pair) const {
    const float least = least_distance(scene.shapes, pair, limits.touching + BETWEEN_SAMPLES);
    if (least < limits.touching || least >= limits.touching + BETWEEN_SAMPLES) return least < limits.touching;
    PairContacts room;
    const PairContacts& found = placed.contacts(phase, q, limits.reach, room);
    return *std::min_element(found.distance, found.distance + found.count) < limits.touching;
  }

  // Marks what hangs together with marked bodies, in turn, through bodies of kind `least` and above.
  void spread(uint8_t* marked, Kind least) {
    for (bool changed = true; changed;) {
      changed = false;
      for (int64_t q = 0; q < scene.pairs; ++q) {
        const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
        if (marked[a] == marked[b] || std::min(placed.kinds[a], placed.kinds[b]) < least) continue;
        if (placed.kinds[a] != FREE && placed.kinds[b] != FREE) continue;
        if (linked(q, a, b)) marked[a] = marked[b] = changed = true;
      }
    }
  }

  // What touches something below the contact is held up.
  void find_held() {
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if ((!unsure[a] || held[a]) && (!unsure[b] || held[b])) continue;
      if (!placed.near(0, a, b, limits.reach)) continue;
      PairContacts room;
      const PairContacts& found = placed.contacts(0, q, limits.reach, room);
      for (int k = 0; k < found.count; ++k) {
        if (found.distance[k] >= limits.touching) continue;
        held[a] |= found.normal[k][2] > limits.upward;
        held[b] |= found.normal[k][2] < -limits.upward;
      }
    }
  }

  double far_out(int b) const { return reach_of(scene.shapes.boxes + 6 * placed.shape_ids[b]); }

  // Bodies that come nearer fast enough to meet within the action.
  void find_colliding(const double* poses, const double* twists, double seconds) {
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if (placed.kinds[a] != FREE || placed.kinds[b] != FREE) continue;
      double gap[3], speed[3];
      for (int k = 0; k < 3; ++k) {
        gap[k] = poses[7 * a + k] - poses[7 * b + k];
        speed[k] = twists[6 * a + k] - twists[6 * b + k];
      }
      if (!(length(speed) * seconds > limits.approach)) continue;
      if (gap[0] * speed[0] + gap[1] * speed[1] + gap[2] * speed[2] >= 0) continue;
      // Spinning takes either out of its box by so much.
      const double stray = seconds * (far_out(a) * length(twists + 6 * a + 3) + far_out(b) * length(twists + 6 * b + 3));
      double swept[6];
      std::copy(placed.boxes + 6 * a, placed.boxes + 6 * a + 6, swept);
      for (int k = 0; k < 3; ++k) swept[speed[k] > 0 ? 3 + k : k] += seconds * speed[k];
      if (!boxes_meet(swept, placed.boxes + 6 * b, stray)) continue;
      link[q] = LINKED, collides[a] = collides[b] = true;
    }
  }

  void run(int64_t s, const IslandInputs& in, uint8_t* awake, uint8_t* fine, uint8_t* driven) {
    const int64_t bodies = scene.bodies, first = s * bodies;
    const double *poses = in.poses + 7 * first, *ends = in.ends + 7 * first, *twists = in.twists + 6 * first;
    const uint8_t* kinds = scene.kinds + first;
    bool any = false;
    for (int64_t b = 0; b < bodies; ++b) {
      const bool free = kinds[b] == FREE, unsettled = free && !is_still(twists + 6 * b, limits);
      led[b] = kinds[b] == TOOL && !std::equal(poses + 7 * b, poses + 7 * b + 7, ends + 7 * b);
      active[b] = unsettled || led[b];
      unsure[b] = free && (in.unsure[first + b] || unsettled) && in.gravity;
      lively[b] = collides[b] = held[b] = awake[b] = fine[b] = driven[b] = false;
      any |= active[b] || unsure[b];
    }
    if (!any) return;
    std::fill(link, link + scene.pairs, uint8_t{UNKNOWN});
    placed.place(s, in.poses, in.ends);
    find_held();
    find_colliding(poses, twists, in.seconds);
    for (int64_t b = 0; b < bodies; ++b) {
      const bool loose = unsure[b] && !held[b];
      const double* twist = twists + 6 * b;
      const double tipping = std::sqrt(twist[3] * twist[3] + twist[4] * twist[4]);
      active[b] |= loose;
      lively[b] = kinds[b] == FREE &&
                  (loose || collides[b] || tipping > limits.tipping || std::abs(twist[2]) > limits.lifting);
    }
    spread(active, TOOL);
    for (int64_t b = 0; b < bodies; ++b) awake[b] = active[b] && kinds[b] == FREE;
    // A tool that joins two islands does not make one's pace the other's.
    spread(lively, FREE);
    spread(led, TOOL);
    for (int64_t b = 0; b < bodies; ++b) fine[b] = awake[b] && lively[b], driven[b] = awake[b] && led[b];
  }
};

}  // namespace

int64_t islands_room(const SceneArrays& scene) {
  Cutter cut(nullptr);
  Search search(cut, scene, {});
  return cut.used();
}

void find_islands(const SceneArrays& scene, const IslandLimits& limits, const IslandInputs& in, const Rooms& rooms,
                  const IslandOutputs& out) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    Cutter cut(bytes);
    Search search(cut, scene, limits);
    const int64_t first = s * scene.bodies;
    search.run(s, in, out.awake + first, out.fine + first, out.driven + first);
  });
}

}  // namespace splatworld
