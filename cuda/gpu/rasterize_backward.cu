// The gradients of each (tile, splat) pair.
//
// In two phases for every 32 splats of a tile, so that no sum crosses lanes and nothing is added atomically: first each
// thread is a pixel, walks the splats near to far and leaves in shared memory what they give it; then each thread is a
// splat and adds up the pixels. Walking near to far again needs nothing but the finished pictures (Brush, 2024); one
// thread a splat is the per-Gaussian backward of Taming 3DGS (2024), without its states in memory.
#include "gpu/block.h"
#include "gpu/passes.h"

namespace splatworld::gpu {
namespace {

constexpr int WARPS = TILE_THREADS / 32;
constexpr int BATCH = 64;  // splats fetched at once; with it, all that is shared fits the 48 KiB that any device has
constexpr int ROUND = 16;  // splats between the phases: two lanes share the pixels of each

// Of one pixel and splat: dL/dlog(alpha), and the weight it was blended with.
struct Given {
  float by_alpha[WARPS][ROUND][33], weight[WARPS][ROUND][33];  // a column more than pixels: no two lanes in one bank
};

// What a pixel wants, and how much of that lies behind what was blended so far.
struct Wanted {
  float color[3], depth, behind;
};

template <bool WITH_DEPTH>
__device__ Wanted load_wanted(const Place& place, const Pictures& pictures, const Pictures& gradients) {
  Wanted want{{0.0f, 0.0f, 0.0f}, 0.0f, 0.0f};
  if (!place.inside) return want;
  const int64_t pixel = place.pixel;
  for (int c = 0; c < 3; ++c) {
    want.color[c] = gradients.image[3 * pixel + c];
    // The image's last term, transmittance * background, is part of what lies behind every splat.
    want.behind += want.color[c] * pictures.image[3 * pixel + c];
  }
  if (gradients.transmittance) want.behind += gradients.transmittance[pixel] * pictures.transmittance[pixel];
  if (WITH_DEPTH) {
    want.depth = gradients.depth[pixel];
    want.behind += want.depth * pictures.depth[pixel];
  }
  return want;
}

template <bool WITH_DEPTH>
__global__ void __launch_bounds__(TILE_THREADS)
    gather_kernel(Views views, const Record* records, const int32_t* pair_splat, const int32_t* pair_slot,
                  const int64_t* tile_start, Pictures pictures, Pictures gradients, PairGradient* pair_gradients) {
  __shared__ Batch<BATCH> batch;
  __shared__ Given given;
  __shared__ Wanted wanted[TILE_THREADS];
  __shared__ float sums[WARPS][ROUND][PAIR_FLOATS];
  const Place place(views);
  Wanted want = load_wanted<WITH_DEPTH>(place, pictures, gradients);
  wanted[threadIdx.x] = want;
  const int64_t end = tile_start[blockIdx.x + 1];
  float passing = 1.0f;
  bool done = !place.inside;
  const int own = place.lane % ROUND, half = place.lane / ROUND;  // the second phase's splat and half of the pixels
  for (int64_t start = tile_start[blockIdx.x]; start < end; start += BATCH) {
    __syncthreads();
    batch.load(place, records, pair_splat, start, end);
    __syncthreads();
    const int size = end - start < BATCH ? static_cast<int>(end - start) : BATCH;
    for (int first = 0; first < size; first += ROUND) {
      const bool meets = batch.met[first + own] >> place.warp & 1;
      const uint32_t list = __ballot_sync(FULL, meets) & ((1u << ROUND) - 1);
      const bool finished = __all_sync(FULL, done);
      for (uint32_t rest = finished ? 0 : list; rest; rest &= rest - 1) {
        const int i = __ffs(rest) - 1;
        const Record& s = batch.records[first + i];
        const Hit hit = splat_hit(s.p, s.q, s.r, s.opacity, place.x - s.x, place.y - s.y);
        const float left = passing * (1.0f - hit.alpha);
        done = done || left <= TRANSMITTANCE_STOP;
        float by_alpha = 0.0f, weight = 0.0f;
        if (!done) {
          weight = passing * hit.alpha;
          float value = want.color[0] * s.color[0] + want.color[1] * s.color[1] + want.color[2] * s.color[2];
          if (WITH_DEPTH) value += want.depth * s.depth;
          want.behind -= weight * value;
          // dL/dlog(alpha) = weight * value - alpha / (1 - alpha) * behind; a clamped alpha passes none on.
          if (hit.alpha < ALPHA_MAX) by_alpha = weight * value - hit.alpha / (1.0f - hit.alpha) * want.behind;
          passing = left;
        }
        given.by_alpha[place.warp][i][place.lane] = by_alpha;
        given.weight[place.warp][i][place.lane] = weight;
      }
      __syncwarp();
      float sum[PAIR_FLOATS] = {};
      if (meets && !finished) {
        const Record& s = batch.records[first + own];
        for (int k = 0; k < ROUND; ++k) {
          const int pixel = half * ROUND + k;
          const float g = given.by_alpha[place.warp][own][pixel], weight = given.weight[place.warp][own][pixel];
          const float dx = Place::warp_left(place.warp) + pixel % WARP_WIDTH + 0.5f - s.x;
          const float dy = Place::warp_top(place.warp) + pixel / WARP_WIDTH + 0.5f - s.y;
          const float u = s.p * dx + s.q * dy, v = s.r * dy, g_u = g * u, g_v = g * v;
          const Wanted& its = wanted[place.warp * 32 + pixel];
          sum[0] += g;
          sum[1] += g_u;
          sum[2] += g_v;
          sum[3] += g_u * u;
          sum[4] += g_u * v;
          sum[5] += g_v * v;
          for (int c = 0; c < 3; ++c) sum[6 + c] += weight * its.color[c];
          if (WITH_DEPTH) sum[9] += weight * its.depth;
        }
      }
      for (int k = 0; k < PAIR_FLOATS; ++k) {
        sum[k] += __shfl_xor_sync(FULL, sum[k], ROUND);
        if (half == 0) sums[place.warp][own][k] = sum[k];
      }
      __syncthreads();
      // The warps' sums in their order: the same whenever it is done.
      if (threadIdx.x < ROUND * PAIR_FLOATS && first + static_cast<int>(threadIdx.x) / PAIR_FLOATS < size) {
        const int splat = threadIdx.x / PAIR_FLOATS, k = threadIdx.x % PAIR_FLOATS;
        float total = 0.0f;
        for (int warp = 0; warp < WARPS; ++warp) total += sums[warp][splat][k];
        reinterpret_cast<float*>(pair_gradients + pair_slot[start + first + splat])[k] = total;
      }
      __syncthreads();
    }
  }
}

}  // namespace

void rasterize_backward(Stream stream, const Views& views, const Record* records, const int32_t* pair_splat,
                        const int32_t* pair_slot, const int64_t* tile_start, const Pictures& pictures,
                        const Pictures& gradients, PairGradient* pair_gradients) {
  launch(gradients.depth ? gather_kernel<true> : gather_kernel<false>, static_cast<int64_t>(views.count) * views.tiles(),
         TILE_THREADS, stream, views, records, pair_splat, pair_slot, tile_start, pictures, gradients, pair_gradients);
}

}  // namespace splatworld::gpu
