// One pair of bodies at a time: what contacts.cpp offers to kernels that go on with contacts themselves.
#pragma once

#include "kernels.h"

namespace splatworld {

struct Pose {
  Mat3<double> turn;
  Vec3<double> move;
};

Pose read_pose(const double* p);

// The least box [6] along the world's axes around a posed box; a box of nothing becomes one that nothing is near.
void pose_box(const Pose& pose, const float* box, double* posed);

inline bool boxes_meet(const double* one, const double* other, double reach) {
  bool meet = true;
  for (int k = 0; k < 3; ++k) meet &= one[k] <= other[3 + k] + reach && other[k] <= one[3 + k] + reach;
  return meet;
}

struct PosedPair {
  int a, b;  // shapes
  const Pose *world_from_a, *world_from_b;
};

// The contacts of a pair nearer than `reach`, in row `row`. Where no sample of either surface is nearer than `only`, none
// are looked for, and it returns false.
constexpr float ANY = 1e30f;
bool sample_pair(const ShapeArrays& shapes, const PosedPair& pair, float reach, float only, int64_t row,
                 const ContactArrays& out);

// The least distance at a sample of either surface; `reach` if that is not less. Surfaces may be nearer in between.
constexpr float BETWEEN_SAMPLES = 4.5e-3f;  // m, by so much: edges that cross in the middle between samples 8 mm apart
float least_distance(const ShapeArrays& shapes, const PosedPair& pair, float reach);

// The contacts of one pair.
struct PairContacts {
  int32_t count;
  float distance[MOST_CONTACTS], normal[MOST_CONTACTS][3], point[MOST_CONTACTS][3], arm_a[MOST_CONTACTS][3],
      arm_b[MOST_CONTACTS][3];
  ContactArrays view() { return {&count, distance, *normal, *point, *arm_a, *arm_b}; }
};

// The contacts of a pair where it was last looked at: steps that follow each other look at the same places.
struct SeenPair {
  bool filled;
  Pose a, b;
  PairContacts contacts;
};

// The contacts of a pair nearer than `reach`, as `sample_pair`; null where it finds none to look for. They lie in `seen`,
// which may hold them already, or, where that is null, in `room`.
const PairContacts* contacts_of(const ShapeArrays& shapes, const PosedPair& pair, float reach, float only,
                                SeenPair* seen, PairContacts& room);

}  // namespace splatworld
