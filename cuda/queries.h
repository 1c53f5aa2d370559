// The interface of the queries on posed worlds: plain arrays, nothing allocated. S states of B bodies; every state is
// computed by itself, so that neither threads nor the rest of the batch change a bit of it.
#pragma once

#include "kernels.h"

namespace splatworld {

// What a world's bodies fill, and what of it was seen.
struct FieldArrays {
  ShapeArrays shapes;
  const int32_t* capsule_ends;   // [K, 2] nodes
  const float* capsule_radii;    // [K]
  const int32_t* capsule_start;  // [B + 1]
  Grid unseen;                   // m to space that nobody has seen, in the frame of body 0; no values where all was seen
  const uint8_t* seen;           // cells of all bodies' surfaces, 0 where nobody has seen them
  const int64_t* seen_start;     // [B] where a body's begin; -1 where all of it was seen
  const int32_t* seen_size;      // [B, 3]
  const float* seen_origin;      // [B, 3] m, of the first cell's middle
  const float* seen_spacing;     // [B] m
  const float* roughness;        // [B] m, standard deviation of a body's surface
  float scale_std;               // of all lengths, relative
};

// A body in a state, as pose_bodies() leaves it.
struct PosedBody {
  double move[3];
  float turn[9];    // world from body
  float middle[3];  // of a ball around its shape, from `move`, world axes
  float radius;     // -1 where there is nothing
};

struct PosedField {
  int64_t states, nodes;
  const double* poses;      // [S, B, 7]
  const double* node;       // [S, M, 7]
  const float* std;         // [S, B, 6] of the poses, m and rad, world axes
  const uint8_t* wanted;    // [B] bodies that count
  PosedBody* bodies;        // [S, B] room
};

// Of points, balls and rays alike.
struct Answers {
  float* distance;  // m; of a ball from its surface
  float* unseen;    // m to unseen space, negative in it
  float* std;       // m
  float* gradient;  // [3] of the distance by the place
  int32_t* body;    // the nearest, -1 without any
  uint8_t* known;
  float* share;     // of the way to the place, where it is nearest; null but for sweeps
};

// queries.cpp
// balls [S, P, 4]: middle and radius.
void find_distances(const FieldArrays& field, const PosedField& posed, int64_t count, const double* balls,
                    const Answers& out);
// rays [S, P, 6]: where they begin and their unit directions. Distances are along the rays, infinite where nothing is hit
// within `most`; gradients are the surfaces' normals there.
void cast_rays(const FieldArrays& field, const PosedField& posed, int64_t count, const double* rays, float most,
               const Answers& out);

// sweeps.cpp
// Up to `near` an answer may be less than the truth by `gap`, beyond also by a share of what is beyond.
struct SweepLimits {
  float near, gap, share;
};
// States [S] are N plans of `instants` each, one after the other, and so are balls [S, P, 4]. Each answer is about the way
// from the instant before: never more than the distance anywhere on it. Bodies and balls move straight ahead and turn
// along the chord between their quaternions.
void sweep_balls(const FieldArrays& field, const PosedField& posed, int64_t instants, int64_t count, const double* balls,
                 const SweepLimits& limits, const Answers& out);

}  // namespace splatworld
