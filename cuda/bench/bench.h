// What the fast kernels are measured against. Arrays as in kernels.h; one thread unless it says otherwise.
#pragma once

#include "kernels.h"

namespace splatworld {

// baseline.cpp: the arguments and results of rasterize and rasterize_backward.
void plain_rasterize(const View& view, const Record* records, const int32_t* pair_splat, const int64_t* tile_start,
                     const float background[3], const Pictures& out);
void plain_rasterize_backward(const View& view, const Record* records, const int32_t* pair_splat,
                              const int32_t* pair_slot, const int64_t* tile_start, const Pictures& pictures,
                              const Pictures& gradients, PairGradient* pair_gradients);

// pixels: (splat, pixel) pairs that blend. blocks: (splat, block as cpu/rasterize.cpp cuts them) pairs with at least one of
// them; pixels / (LANES * blocks) is the most that vectors can be filled.
struct BlendedPairs {
  int64_t pixels, blocks;
};
BlendedPairs count_blended(const View& view, const Record* records, const int32_t* pair_splat,
                           const int64_t* tile_start);

// Useful operations of one blended pair without depth: additions, multiplications and divisions, a fused
// multiply-add being two. Comparisons, selections, integer work, whatever one row or one splat shares, and pairs that
// do not blend are not counted.
constexpr int EVALUATE_FLOPS = 1 + 2 + 13 + 1;  // u; u^2 + v^2; 2^x: 3 to round, 5 fused for the polynomial; opacity
constexpr int BLEND_FLOPS = EVALUATE_FLOPS + 2 + 6;  // weight and transmittance; colours
constexpr int BACKWARD_FLOPS =
    BLEND_FLOPS + 5 + 2 + 4 + 11;  // value; weight * value, behind; dL/dlog(alpha), with a division; moments

// peak.cpp: fused multiply-adds on independent registers of LANES numbers, for about `seconds`, in GFLOP/s.
double arithmetic_peak(int threads, double seconds);

}  // namespace splatworld
