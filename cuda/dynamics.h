// The interface of the kernels of learned dynamics: plain arrays, nothing allocated. S states of B bodies, P pairs.
// Every state is computed by itself, so that neither threads nor the rest of the batch change a bit of it.
#pragma once

#include "kernels.h"

namespace splatworld {

enum Kind : uint8_t { STATIC = 0, TOOL = 1, FREE = 2 };

struct SeenPair;

struct SceneArrays {
  ShapeArrays shapes;
  int64_t states, bodies, pairs;
  const int32_t* shape_ids;    // [S, B]
  const uint8_t* kinds;        // [S, B]
  const int32_t* pair;         // [P, 2] bodies that can touch, the lesser first
  const float* inverse_mass;   // [S, B]
  const float* turning;        // [S, B] the same of turns
  SeenPair* seen;              // [S, P] room for contacts that are looked at again, or null
};

// Room that Python allocates: `bytes` for each of `parts`, which are worked on side by side.
struct Rooms {
  char* bytes;
  int64_t size;
  int parts;
};

// overlaps.cpp
// How overlaps are solved away; see splatworld/dynamics/projection.py.
constexpr int MOST_LOOKS = 8, MOST_ITERATIONS = 32;  // an iteration is a bit
struct Separation {
  float reach, noticed, target, slop;
  int looks, iterations;
  float relaxation;
};
int64_t separation_room(int64_t bodies, int64_t pairs, int looks);
// after [S, B, 7]: poses [S, B, 7] displaced by `motion` [S, B, 6], then without overlaps; looked_at [S, B]: bodies that
// may overlap. squeezed [S]: the share of their way [S, B, 6] by which tools still overlap what could not give way.
void separate(const SceneArrays& scene, const Separation& how, const double* poses, const double* motion,
              const uint8_t* looked_at, const double* way, const Rooms& rooms, double* after, float* squeezed);
// Gradients by `poses` and `motion`, given that by `after`; contact points and normals are held.
void separate_backward(const SceneArrays& scene, const Separation& how, const double* poses, const double* motion,
                       const uint8_t* looked_at, const double* by_after, const Rooms& rooms, double* by_poses,
                       double* by_motion);

// sweep.cpp
struct SweepRules {
  float slop, reach;  // depth that is allowed; distance that is known
  double still;       // m and rad up to which a tool counts as left alone
  int cuts;
};
int64_t sweep_room(const SceneArrays& scene);
// done [S]: the fraction of their ways from poses to ends [S, B, 7] that tools get before they are deeper than `slop`, or
// than at first, in what is static; looked at in `cuts` places. ways [S, B, 6] to where they get; reached [S, B, 7]: tools
// are there, all others where they were.
void sweep_tools(const SceneArrays& scene, const SweepRules& rules, const double* poses, const double* ends,
                 const Rooms& rooms, float* done, double* ways, double* reached);

// islands.cpp
// See splatworld/dynamics/islands.py.
struct IslandLimits {
  float reach, touching, upward;
  double still_speed, still_spin, approach, tipping, lifting;
};
struct IslandInputs {
  const double *poses, *twists, *ends;  // [S, B, 7 or 6]
  const uint8_t* unsure;                // [S, B]
  double seconds;
  bool gravity;
};
struct IslandOutputs {
  uint8_t *awake, *fine, *driven;  // [S, B]
};
int64_t islands_room(const SceneArrays& scene);
void find_islands(const SceneArrays& scene, const IslandLimits& limits, const IslandInputs& in, const Rooms& rooms,
                  const IslandOutputs& out);

// touches.cpp
constexpr int TOUCH_SLOTS = 8;
struct TouchRules {
  float reach, deepest;  // distances are bounded for the order of contacts
  float later[3];        // by the partner's kind: how far further contacts of a pair stand back
  int of_a_row;          // contacts of a pair that are considered
};
// Contacts of N bodies, up to TOUCH_SLOTS each.
struct TouchArrays {
  int64_t *partner, *kind, *phase;      // [N, 8]
  float* distance;                      // [N, 8]
  float *normal, *arm, *partner_arm;    // [N, 8, 3]
  float* weight;                        // [N, 8]
};
int64_t touches_room(const SceneArrays& scene);
// Of wanted [S, B] bodies; first [S + 1]: the row of each state's first.
void find_touches(const SceneArrays& scene, const TouchRules& rules, const double* poses, const double* ends,
                  const uint8_t* wanted, const int64_t* first, const Rooms& rooms, const TouchArrays& out);

// coasting.cpp
// What is believed of a body, 0 of one that nobody knows; as in splatworld/core/latents.py.
enum Latent { SUPPORT_FRICTION, MASS, TOOL_FRICTION, CENTER, KNOWN_LATENTS = CENTER + 3 };
struct CoastingRules {
  float reach;     // distance that is known
  float near;      // distance after a step up to which a contact is one
  float slop;      // depth that is allowed
  float friction;  // where nothing is known of a body
  float settled;   // m/s; changes below it end the iterations
  int steps, iterations;
};
struct CoastingInputs {
  const int64_t *first, *body;          // [S + 1] the row of each state's first, [N] bodies that move
  const double *poses, *twists, *ends;  // [S, B, 7 or 6]
  const float* typical_mass;            // [S, B]
  const float* latents;                 // [S, B, latent_count], the first as in enum Latent
  int latent_count;
  const float *spread, *gravity;        // [L, 3, 3], [3]
  double seconds;
  float *motion, *twist;                // out: [N, 6] world axes
};
int64_t coasting_room(const SceneArrays& scene);
void coast_bodies(const SceneArrays& scene, const CoastingRules& rules, const CoastingInputs& in, const Rooms& rooms);

// network.cpp
// Units of features; see splatworld/dynamics/features.py.
struct FeatureScales {
  float distance, arm, shift, turn, speed, spin;
};
struct Layer {
  int inputs, outputs;   // multiples of 16
  const float* weights;  // [M, inputs + 1, outputs], the bias last
};
constexpr int MOST_LAYERS = 16;
struct NetworkArrays {
  int members, rounds, layers, readers;  // of the layers the first `readers` read contacts
  Layer layer[MOST_LAYERS];
  const float* units;  // [12]
  float least_log, most_log;
};
struct MotionInputs {
  int64_t count;                        // N
  const int64_t *state, *body;          // [N]
  const double *poses, *twists, *ends;  // [S, B, 7 or 6]
  const float *coasting, *after;        // [N, 6] motion and next twist if the network says nothing, world axes
  const float* latents;                 // [S, B, latent_count]
  int latent_count;
  const float* typical_mass;            // [S, B]
  const float* extremes;                // [L, extreme_count, 3]
  int extreme_count;
  const float *spread, *gravity;        // [L, 3, 3], [3]
  double seconds;
  TouchArrays touch;
};
// World axes, but log_variance: in the bodies' local frames.
struct MotionOutputs {
  float *motion, *twist, *variance;  // [N, 6]
  float *members, *log_variance;     // [M, N, 12]
  float* heading;                    // [N, 2]
};
int64_t network_room(const NetworkArrays& net);
// motion, meant [S, B, 6] and again [N] are room.
void read_motion(const SceneArrays& scene, const FeatureScales& scales, const NetworkArrays& net,
                 const MotionInputs& in, const Rooms& rooms, float* motion, float* meant, int64_t* again,
                 const MotionOutputs& out);

// action.cpp
// Constants of everything that makes up an action; see splatworld/dynamics/action.py.
struct ActionRules {
  double seconds;
  int substeps;
  SweepRules sweep;
  IslandLimits islands;
  TouchRules touch;
  CoastingRules coasting[2];  // of whole and of short steps, as what follows
  FeatureScales scales;
  Separation separation;
  double scale[2], correlation[2];
  double creep_speed, creep_spin;
};
struct ActionInputs {
  const double *poses, *twists, *variance, *ends;  // [S, B, 7 or 6]
  const uint8_t* unsure;                           // [S, B]
  const float* latents;                            // [S, B, latent_count]
  int latent_count;
  const float* typical_mass;                       // [S, B]
  const float* extremes;                           // [L, extreme_count, 3]
  int extreme_count;
  const float *spread, *gravity;                   // [L, 3, 3], [3]
};
struct ActionOutputs {
  double *poses, *twists, *variance;  // [S, B, 7 or 6]
  uint8_t* awake;                     // [S, B]
  float* done;                        // [S]
  uint8_t* failed;                    // [S]
};
int64_t action_room(const SceneArrays& scene, const NetworkArrays& net, int parts);
void act_bodies(const SceneArrays& scene, const ActionRules& rules, const NetworkArrays& net, const ActionInputs& in,
                const Rooms& rooms, const ActionOutputs& out);

// nodes.cpp
// Deformable bodies of S states, nodes of all of them one after the other, and what joins them.
struct NetArrays {
  const int64_t *node_start, *edge_start, *bend_start;  // [S + 1]
  const int32_t* edges;            // [E, 2] nodes
  const float *length, *softness;  // [E] m at rest; mass over stiffness, s^2, 0 of what keeps its length
  const uint8_t* touches;          // [E] whether it touches other edges
  const int32_t* bends;            // [T, 3] nodes of which the second lies between the others when nothing bends them
  const float *share, *flexibility;  // [T] of the way from the first to the third; mass over stiffness, s^2
  const float* radius;             // [N]
  const int64_t* neighbour_start;  // [N + 1]
  const int32_t* neighbours;       // nodes that share an edge, and the node itself
};
struct NodeRules {
  int steps, iterations;
  float friction;
  float grip;  // m inside a tool from which on a node is held
  float memory; // share of how far a bend is off at first that nothing straightens: friction held it, or it is made so
  float slack; // share of its length by which an edge may be off; 0 where edges pull as they are made
};
struct NodeInputs {
  const double *points, *velocities;  // [N, 3]
  const double *starts, *ends;        // [S, B, 7] of bodies that stand in the way
  const uint8_t* wanted;              // [S]
  const float* gravity;               // [3]
  double seconds;
};
struct NodeOutputs {
  double *points, *velocities;  // [N, 3]
  int32_t* holder;              // [N] body that holds the node, -1 where none does
  float *push, *rub, *carried;  // [N, 3] m in all: how far bodies that move pushed it, how far friction and how far
                                // what stands still moved it
  float* gap;                   // [N] m to the nearest body that moves, at the end
};
int64_t nodes_room(const NetArrays& net, int64_t states, int64_t bodies);
// Nodes coast: they fall, keep together, and are pushed by bodies and each other; of states that are not wanted they
// stay. See splatworld/dynamics/swing.py.
void swing_nodes(const SceneArrays& scene, const NetArrays& net, const NodeRules& rules, const NodeInputs& in,
                 const Rooms& rooms, const NodeOutputs& out);

}  // namespace splatworld
