// The CUDA kernels' interface: that of kernels.h, on device memory and on a stream, for B views of one world at once. The
// splats lie in memory once; each view has its own frames [F, 7] (a state) and its own camera. Nothing is allocated,
// nothing waits for the device.
#pragma once

#include "gpu/launch.h"
#include "kernels.h"

namespace splatworld::gpu {

// B views of the same size.
struct Views {
  const Camera* cameras;  // [B]
  int count, width, height;
  bool antialias;
  SW_HD int tiles_x() const { return (width + TILE - 1) / TILE; }
  SW_HD int tiles_y() const { return (height + TILE - 1) / TILE; }
  SW_HD int tiles() const { return tiles_x() * tiles_y(); }
  SW_HD int64_t pixels() const { return static_cast<int64_t>(width) * height; }
};

// project.cu
// splats.frames is [B, F, 7], F = `frames`; records and counts are [B, N]. Records of splats that are not seen are left
// as they were. hidden [bodies]: those whose entry is not 0 are not seen; null: none.
void project(Stream stream, const SplatArrays& splats, int frames, const Views& views, const uint8_t* hidden,
             Record* records, int32_t* counts);

// intersect.cu, sort.cu
// How many splats are seen, and how many pairs those of them have that fit: the host reads it when it likes. Kernels never
// write past the capacity; where more is wanted, `overflow` is set, and neither are the pictures to be used nor is
// project_backward to be called.
struct Totals {
  int64_t seen, pairs;
  int32_t overflow;
};
struct Lists {
  int64_t seen_capacity, pair_capacity;
  Totals* totals;
  uint64_t *depth_keys, *depth_keys_sorted;  // [seen_capacity] view and depth
  int32_t *seen, *order;                     // [seen_capacity] index into records, as found and near to far
  int64_t* first_pair;                       // [B, N] of each seen splat: its pairs are numbered one after the other
  int64_t* pairs_before;                     // [seen_capacity] in the order of `order`
  uint32_t *tile_keys, *tile_keys_sorted;    // [pair_capacity]
  int32_t *slots, *owners;                   // [pair_capacity] pair numbers to be sorted; whose they are
  int32_t *pair_splat, *pair_slot;           // [pair_capacity] by view and tile, near to far
  int64_t* tile_start;                       // [B tiles + 1]
  void* temporary;                           // [temporary_bytes] for sorting
  size_t temporary_bytes;
};
// Bytes that sorting wants as `temporary` for these capacities.
size_t temporary_bytes(int64_t splats, int64_t seen_capacity, int64_t pair_capacity);
// Fills totals, seen, order and first_pair.
void sort_by_depth(Stream stream, int64_t splats, const Views& views, const Record* records, const int32_t* counts,
                   const Lists& lists);
// Fills the rest.
void list_tiles(Stream stream, int64_t splats, const Views& views, const Record* records, const Lists& lists);

// rasterize.cu, rasterize_backward.cu
// Pictures are [B, H, W, ...].
void rasterize(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
               const int64_t* tile_start, const float* background, const Pictures& out);
// Fills pair_gradients [pair_capacity] at pair_slot. Nothing is added atomically: the same bits every time.
void rasterize_backward(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
                        const int32_t* pair_slot, const int64_t* tile_start, const Pictures& pictures,
                        const Pictures& gradients, PairGradient* pair_gradients);

// project.cu
// Where the (splat, pair) entries of each frame are: those of frame f are pairs[start[f]] to pairs[start[f + 1] - 1].
struct FrameLists {
  int frames;
  const int64_t* start;  // [F + 1]
  const int64_t* pairs;  // [N W] splat W + pair, by frame
};
// gradients.frames [B, F, 7], gradients.camera [B, CAMERA_FLOATS]. block_cameras: scratch [ceil(N / 128), B,
// CAMERA_FLOATS] and frame_pairs: scratch [B, N, W, 7], both only where the gradient is wanted; `lists` with the latter.
void project_backward(Stream stream, const SplatArrays& splats, int frames, const Views& views, const int32_t* counts,
                      const int64_t* first_pair, const PairGradient* pair_gradients, double* block_cameras,
                      float* frame_pairs, const FrameLists& lists, const SplatGradients& gradients);

// loss.cu
// planes: scratch [9, H, W]; block_sums: scratch [9 tiles]; used_pixels and loss: [1], on the device.
void l1_ssim(Stream stream, const float* image, const float* gain, const uint8_t* target, const uint8_t* mask, int width,
             int height, float ssim_weight, float* planes, double* block_sums, int64_t* used_pixels, Loss* loss,
             float* gradient);

// adam.cu
void adam(Stream stream, int64_t rows, int width, const int32_t* visible, const AdamStep& step, const AdamCosts& costs,
          const float* rates, float* gradient, float* first, float* second, float* value);

// wander.cu
void wander(Stream stream, int64_t count, const float* opacity_logits, const float* log_scales, const float* quats,
            const Walk& walk, float* means);

}  // namespace splatworld::gpu
