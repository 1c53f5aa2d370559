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
// What of a view's pairs fits, and what was wanted: the host reads it when it likes. Kernels never write past the
// capacity; where more is wanted, `overflow` is set and the pictures are not to be used.
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
void list_tiles(Stream stream, int64_t splats, const Views& views, const Record* records, const int32_t* counts,
                const Lists& lists);

// rasterize.cu, rasterize_backward.cu
// Pictures are [B, H, W, ...].
void rasterize(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
               const int64_t* tile_start, const float* background, const Pictures& out);
// Fills pair_gradients [pair_capacity] at pair_slot. Nothing is added atomically: the same bits every time.
void rasterize_backward(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
                        const int32_t* pair_slot, const int64_t* tile_start, const Pictures& pictures,
                        const Pictures& gradients, PairGradient* pair_gradients);

}  // namespace splatworld::gpu
