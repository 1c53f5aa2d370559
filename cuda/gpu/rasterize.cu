// Blends the splats of each tile, near to far. A block of threads has a tile, each of its warps 8 x 4 pixels; a warp takes
// only the splats whose ellipse meets its pixels.
#include "gpu/block.h"
#include "gpu/passes.h"

namespace splatworld::gpu {
namespace {

template <bool WITH_DEPTH>
__global__ void __launch_bounds__(TILE_THREADS) blend_kernel(Views views, const Record* records, const int32_t* pair_splat,
                                                             const int64_t* tile_start, const float* background,
                                                             Pictures out) {
  __shared__ Batch<TILE_THREADS> batch;
  const Place place(views);
  const int64_t end = tile_start[blockIdx.x + 1];
  float passing = 1.0f, color[3] = {0.0f, 0.0f, 0.0f}, depth = 0.0f, median = 0.0f;
  int32_t body = -1;
  bool done = !place.inside;
  for (int64_t start = tile_start[blockIdx.x]; start < end; start += TILE_THREADS) {
    if (__syncthreads_and(done)) break;
    batch.load(place, records, pair_splat, start, end);
    __syncthreads();
    for (int group = 0; group < TILE_THREADS; group += 32) {
      if (__all_sync(FULL, done)) break;
      for (uint32_t list = batch.met_by(place, group); list; list &= list - 1) {
        const Record& s = batch.records[group + __ffs(list) - 1];
        const float alpha = splat_hit(s.p, s.q, s.r, s.opacity, place.x - s.x, place.y - s.y).alpha;
        const float left = passing * (1.0f - alpha);
        done = done || left <= TRANSMITTANCE_STOP;
        if (done) continue;
        const float weight = passing * alpha;
        for (int c = 0; c < 3; ++c) color[c] += weight * s.color[c];
        if (WITH_DEPTH) {
          depth += weight * s.depth;
          if (passing > 0.5f && left <= 0.5f) {
            median = s.depth;
            body = s.body;
          }
        }
        passing = left;
      }
    }
  }
  if (!place.inside) return;
  for (int c = 0; c < 3; ++c) out.image[3 * place.pixel + c] = color[c] + passing * background[c];
  out.transmittance[place.pixel] = passing;
  if (!WITH_DEPTH) return;
  out.depth[place.pixel] = depth;
  out.median_depth[place.pixel] = median;
  out.body_ids[place.pixel] = body;
}

}  // namespace

void rasterize(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
               const int64_t* tile_start, const float* background, const Pictures& out) {
  launch(out.depth ? blend_kernel<true> : blend_kernel<false>, static_cast<int64_t>(views.count) * views.tiles(),
         TILE_THREADS, stream, views, records, pair_splat, tile_start, background, out);
}

}  // namespace splatworld::gpu
