// The kernels' interface: plain arrays in, plain arrays out, nothing allocated. Shapes in brackets; N splats, F frames,
// W (index, weight) pairs a splat, K spherical harmonics a splat, P (tile, splat) pairs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "math/adam.h"
#include "math/distance.h"
#include "math/project.h"
#include "math/tiles.h"
#include "math/wander.h"

namespace splatworld {

constexpr int RECORD_FLOATS = 12;
constexpr int PAIR_FLOATS = 10;

// A splat as the rasterizer reads it: alpha = min(0.999, opacity * 2^-(u^2 + v^2)) with u = p dx + q dy, v = r dy,
// the Cholesky factor of the conic with log2(e)/2 folded in. Nothing is seen where u^2 + v^2 > cut.
struct alignas(16) Record {
  float x, y, p, q, r, cut, depth, opacity, color[3];
  int32_t body;
};
static_assert(sizeof(Record) == RECORD_FLOATS * sizeof(float));

// Sums over the pixels of one (tile, splat) pair. moments: of G = dL/dlog(alpha) times 1, u, v, u^2, u v, v^2, with u
// and v as in Record.
struct alignas(8) PairGradient {
  float moments[6], color[3], depth;
};
static_assert(sizeof(PairGradient) == PAIR_FLOATS * sizeof(float));

struct SplatArrays {
  int64_t count;
  int sh_stride, sh_count;      // coefficients stored and used
  int pairs;                    // W
  const float* means;           // [N, 3]
  const float* log_scales;      // [N, 3]
  const float* quats;           // [N, 4]
  const float* opacity_logits;  // [N]
  const float* sh;              // [N, sh_stride, 3]
  const int32_t* body_ids;      // [N]
  const float* frames;          // [F, 7]
  const int32_t* skin_indices;  // [N, W], or null: frame body_ids[n], weight 1
  const float* skin_weights;    // [N, W]
};

// Null where a gradient is not wanted. Everything is added to, never overwritten.
struct SplatGradients {
  float *means, *log_scales, *quats, *opacity_logits, *sh;
  double* frames;  // [F, 7]
  double* camera;  // [CAMERA_FLOATS]
};

struct View {
  Camera camera;
  int width, height;
  bool antialias;
  SW_HD int tiles_x() const { return (width + TILE - 1) / TILE; }
  int tiles_y() const { return (height + TILE - 1) / TILE; }
};

void set_threads(int count);
int get_threads();

// project.cpp
// counts [N]: tiles each splat touches, 0 when it is not seen.
void project(const SplatArrays& splats, const View& view, Record* records, int32_t* counts);
// first_pair [N]: where each seen splat's pair gradients start. chunk_cameras: scratch [ceil(N / 1024), CAMERA_FLOATS]
// and frame_pairs: scratch [N, W, 7], both only where the gradient is wanted.
void project_backward(const SplatArrays& splats, const View& view, const int32_t* counts, const int64_t* first_pair,
                      const PairGradient* pair_gradients, double* chunk_cameras, float* frame_pairs,
                      const SplatGradients& gradients);

// intersect.cpp
// order [N] and scratch [4 N]: indices of the seen splats, near to far, ties by index. Returns how many.
int64_t sort_by_depth(int64_t count, const Record* records, const int32_t* counts, int32_t* order, int32_t* scratch);
// first_pair [N]: pairs are numbered splat by splat. Returns P.
int64_t number_pairs(int64_t count, const int32_t* counts, int64_t* first_pair);
// pair_splat [P], pair_slot [P]: by tile, near to far; tile_start [tiles + 1]. The work is done in `parts`, at most that
// many at a time; scratch [3 P + parts tiles].
void list_tiles(int64_t count, int64_t seen, int64_t pairs, const int32_t* order, const int32_t* counts,
                const int64_t* first_pair, const Record* records, const View& view, int parts, int32_t* scratch,
                int32_t* pair_splat, int32_t* pair_slot, int64_t* tile_start);

// merge.cpp
struct TileLists {
  const int32_t* pair_splat;  // [P]
  const int64_t* tile_start;  // [tiles + 1]
};
// records: those of splats that stand still, then from first_moving on those of splats that move; moving lists count
// from there. moving_index: index among all splats of each that moves. For each of `tiles` tile_ids, pair_splat from
// start[entry] on: both lists in one, near to far.
void merge_tiles(int64_t tiles, const int32_t* tile_ids, const Record* records, const TileLists& still,
                 const TileLists& moving, int64_t first_moving, const int32_t* moving_index, const int64_t* start,
                 int32_t* pair_splat);

// rasterize.cpp
// depth, median_depth and body_ids come together or are all null.
struct Pictures {
  float* image;          // [H, W, 3] over the background
  float* transmittance;  // [H, W]
  float* depth;          // [H, W] sum of weight * depth
  float* median_depth;   // [H, W]
  int32_t* body_ids;     // [H, W]
};
void rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
               const float background[3], const Pictures& out);
// The same for some tiles only; tile_start [tiles + 1] has an entry for each of them. The rest of the pictures is kept.
void rasterize_tiles(const View& view, int64_t tiles, const int32_t* tile_ids, const Record* records,
                     const int32_t* pair_splat, const int64_t* tile_start, const float background[3],
                     const Pictures& out);
// Gradients of image, transmittance and depth sum (the last two may be null); fills pair_gradients [P] at pair_slot.
void rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat, const int32_t* pair_slot,
                        const int64_t* tile_start, const Pictures& pictures, const Pictures& gradients,
                        PairGradient* pair_gradients);

// loss.cpp
// (1 - ssim_weight) L1 + ssim_weight (1 - SSIM), each a mean over the pixels whose mask is not 0 (all, if null), of
// image [H, W, 3] times gain [3] (1, if null) against target [H, W, 3] u8. Returns L1, SSIM and the gradient by the log
// of the gain; gradient [H, W, 3], by the image, is overwritten. planes: scratch [LOSS_PLANES, H, W]; row_sums: scratch
// [H, LOSS_SUMS].
constexpr int LOSS_PLANES = 7, LOSS_SUMS = 5;
struct Loss {
  double l1, ssim, by_log_gain[3];
};
Loss l1_ssim(const float* image, const float* gain, const uint8_t* target, const uint8_t* mask, int width, int height,
             float ssim_weight, float* planes, double* row_sums, float* gradient);

// adam.cpp
// Weights of further terms of the loss: of sigmoid(value), and of exp(value).
struct AdamCosts {
  float sigmoid, exponential;
};
constexpr int ADAM_COLUMNS = 768;  // the widest rows
// One step on `rows` rows of `width` numbers, `rates` [width]; the gradient is zero afterwards. Rows whose visible entry
// is 0 are left alone (null: all are stepped).
void adam(int64_t rows, int width, const int32_t* visible, const AdamStep& step, const AdamCosts& costs,
          const float* rates, float* gradient, float* first, float* second, float* value);

// wander.cpp
// Moves means [N, 3] by strength * gate * Sigma * n, n normal by (seed, step, index), gate a sigmoid that shuts at an
// opacity of half a hundredth.
void wander(int64_t count, const float* opacity_logits, const float* log_scales, const float* quats, const Walk& walk,
            float* means);

// distance.cpp
struct Triangles {
  int64_t count;
  const float* vertices;  // [V, 3]
  const int32_t* faces;   // [F, 3]
};
// A balanced tree of boxes over the triangles. order: scratch [F]; boxes: scratch [2 leaves, 6], `leaves` a power of two.
struct BoxTree {
  int64_t leaves;
  int32_t* order;
  float* boxes;
};
// grid.values [X, Y, Z]: distance to the nearest triangle, negative where the closed surface winds around a sample.
void fill_distances(const Triangles& triangles, const BoxTree& tree, const Grid& grid, float* values);
// distance [N] and gradient [N, 3] at points [N, 3].
void sample_distances(const Grid& grid, int64_t count, const float* points, float* distance, float* gradient);

// contacts.cpp
constexpr int CLUSTER = 16;       // points of a surface that are looked at together
constexpr int MOST_CONTACTS = 8;  // of a pair

// The collision shapes of B bodies, each in its body's frame.
struct ShapeArrays {
  int bodies;
  const float* boxes;            // [B, 6] least and greatest corner; nothing is there if least > greatest
  const float* grid_values;      // all grids, one after the other
  const int64_t* grid_start;     // [B] where a body's grid begins; -1 without one
  const int32_t* grid_size;      // [B, 3]
  const float* grid_origin;      // [B, 3]
  const float* grid_spacing;     // [B]
  const float* points;           // [C, 3, CLUSTER] points of surfaces
  const float* cluster_spheres;  // [4, C] middle and radius
  const int32_t* cluster_start;  // [B + 1]
};
struct PosedArrays {
  int64_t states, bodies;
  const double* poses;       // [S, B, 7]
  const int32_t* shape_ids;  // [S, B] which shape each body has
};
// Pairs of bodies [Q, 2] whose posed boxes come within `reach`: how many, and in candidates [S Q, 3] state, body a, body
// b of each. posed_boxes [S, B, 6] is room for boxes along the world's axes.
int64_t broad_phase(const ShapeArrays& shapes, const PosedArrays& posed, int64_t pairs, const int32_t* pair,
                    double reach, double* posed_boxes, int32_t* candidates);
// K = MOST_CONTACTS. Lengths in m; normal: from b towards a; point, arms: from the world's origin, and from the bodies'
// frames, in world axes.
struct ContactArrays {
  int32_t* count;   // [C]
  float* distance;  // [C, K]
  float *normal, *point, *arm_a, *arm_b;  // [C, K, 3]
};
// Of `count` candidates [C, 3] those that touch remain, with their contacts, in the first rows; returns how many.
int64_t sample_contacts(const ShapeArrays& shapes, const PosedArrays& posed, int64_t count, int32_t* candidates,
                        float reach, const ContactArrays& contacts);

}  // namespace splatworld
