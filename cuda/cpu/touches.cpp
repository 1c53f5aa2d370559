// The contacts that matter most to each body; see splatworld/dynamics/touch.py.
#include "cpu/placed.h"

namespace splatworld {
namespace {

struct Slot {
  float key;
  int64_t order;  // of equal keys the first counts
  int partner, kind, phase;
  float distance, normal[3], arm[3], partner_arm[3];
};

struct Slots {
  int used;
  Slot slots[TOUCH_SLOTS];

  void offer(const Slot& slot) {
    int at = used;
    while (at > 0 && (slot.key < slots[at - 1].key || (slot.key == slots[at - 1].key && slot.order < slots[at - 1].order)))
      --at;
    if (at == TOUCH_SLOTS) return;
    used = std::min(used + 1, TOUCH_SLOTS);
    for (int i = used - 1; i > at; --i) slots[i] = slots[i - 1];
    slots[at] = slot;
  }
};

struct Touched {
  const SceneArrays& scene;
  const TouchRules& rules;
  Placed placed;
  Slots* slots;  // [B]

  Touched(Cutter& cut, const SceneArrays& of, const TouchRules& by)
      : scene(of), rules(by), placed(cut, of), slots(cut.take<Slots>(of.bodies)) {}

  void run(int64_t s, const double* poses, const double* ends, const uint8_t* wanted) {
    placed.place(s, poses, ends);
    for (int64_t b = 0; b < scene.bodies; ++b) slots[b].used = 0;
    for (int64_t q = 0; q < scene.pairs; ++q) {
      const int a = scene.pair[2 * q], b = scene.pair[2 * q + 1];
      if (!wanted[a] && !wanted[b]) continue;
      for (int phase = 0; phase < placed.phases(a, b); ++phase) {
        if (!placed.near(phase, a, b, rules.reach)) continue;
        PairContacts room;
        const PairContacts& found = placed.contacts(phase, q, rules.reach, room);
        if (wanted[a]) offer(found, phase * scene.pairs + q, 1, a, b, phase);
        if (wanted[b]) offer(found, (PHASES + phase) * scene.pairs + q, -1, b, a, phase);
      }
    }
  }

  void offer(const PairContacts& found, int64_t row, float sign, int body, int partner, int phase) {
    const auto *arm = sign > 0 ? found.arm_a : found.arm_b, *partner_arm = sign > 0 ? found.arm_b : found.arm_a;
    const int kind = placed.kinds[partner];
    for (int rank = 0; rank < std::min(found.count, rules.of_a_row); ++rank) {
      const float d = found.distance[rank];
      Slot slot{std::min(std::max(d, rules.deepest), rules.reach) + rules.later[kind] * static_cast<float>(rank),
                row * rules.of_a_row + rank, partner, kind, phase, d, {}, {}, {}};
      for (int k = 0; k < 3; ++k) {
        slot.normal[k] = sign * found.normal[rank][k];
        slot.arm[k] = arm[rank][k];
        slot.partner_arm[k] = partner_arm[rank][k];
      }
      slots[body].offer(slot);
    }
  }

  void write(int64_t body, int64_t row, const TouchArrays& out) const {
    for (int i = 0; i < TOUCH_SLOTS; ++i) {
      const int64_t at = row * TOUCH_SLOTS + i;
      const bool used = i < slots[body].used;
      const Slot none{0, 0, static_cast<int>(body), 0, 0, rules.reach, {}, {}, {}};
      const Slot& slot = used ? slots[body].slots[i] : none;
      out.partner[at] = slot.partner, out.kind[at] = slot.kind, out.phase[at] = slot.phase;
      out.distance[at] = slot.distance;
      std::copy(slot.normal, slot.normal + 3, out.normal + 3 * at);
      std::copy(slot.arm, slot.arm + 3, out.arm + 3 * at);
      std::copy(slot.partner_arm, slot.partner_arm + 3, out.partner_arm + 3 * at);
      const float near = std::min(std::max(1 - std::max(slot.distance, 0.0f) / rules.reach, 0.0f), 1.0f);
      out.weight[at] = used ? near * near * (3 - 2 * near) : 0.0f;
    }
  }
};

}  // namespace

int64_t touches_room(const SceneArrays& scene) {
  Cutter cut(nullptr);
  Touched touched(cut, scene, {});
  return cut.used();
}

void find_touches(const SceneArrays& scene, const TouchRules& rules, const double* poses, const double* ends,
                  const uint8_t* wanted, const int64_t* first, const Rooms& rooms, const TouchArrays& out) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    if (first[s] == first[s + 1]) return;
    Cutter cut(bytes);
    Touched touched(cut, scene, rules);
    const uint8_t* bodies = wanted + s * scene.bodies;
    touched.run(s, poses, ends, bodies);
    int64_t row = first[s];
    for (int64_t b = 0; b < scene.bodies; ++b)
      if (bodies[b]) touched.write(b, row++, out);
  });
}

}  // namespace splatworld
