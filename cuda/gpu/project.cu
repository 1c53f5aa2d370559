// One thread a splat and view.
#include "gpu/passes.h"
#include "gpu/tiles.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 128;
constexpr float SQRT_HALF_LOG2E = 0.84932180028801904272f;

__device__ int frame_index(const SplatArrays& s, int64_t splat, int pair) {
  return s.skin_indices ? s.skin_indices[splat * s.pairs + pair] : s.body_ids[splat];
}

__device__ SplatInput<float> load(const SplatArrays& s, const float* frames, int64_t n) {
  SplatInput<float> in;
  const float *mean = s.means + 3 * n, *scale = s.log_scales + 3 * n, *quat = s.quats + 4 * n;
  in.mean = {mean[0], mean[1], mean[2]};
  in.log_scale = {scale[0], scale[1], scale[2]};
  in.quat = {quat[0], quat[1], quat[2], quat[3]};
  in.opacity_logit = s.opacity_logits[n];
  in.frames = s.pairs;
  in.sh_count = s.sh_count;
  for (int pair = 0; pair < s.pairs; ++pair) {
    const float* frame = frames + 7 * static_cast<int64_t>(frame_index(s, n, pair));
    in.frame_translation[pair] = {frame[0], frame[1], frame[2]};
    in.frame_quat[pair] = {frame[3], frame[4], frame[5], frame[6]};
    in.frame_weight[pair] = s.skin_weights ? s.skin_weights[n * s.pairs + pair] : 1.0f;
  }
  return in;
}

__device__ void load_harmonics(const SplatArrays& s, int64_t n, SplatInput<float>& in) {
  const float* from = s.sh + n * s.sh_stride * 3;
  for (int k = 0; k < s.sh_count; ++k)
    for (int c = 0; c < 3; ++c) in.sh[k][c] = from[3 * k + c];
}

__global__ void project_kernel(SplatArrays splats, int frames, Views views, const uint8_t* hidden, Record* records,
                               int32_t* counts) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= splats.count * views.count) return;
  const int64_t view = at / splats.count, n = at % splats.count;
  const int32_t body = splats.body_ids[n];
  counts[at] = 0;
  if (hidden && hidden[body]) return;
  SplatInput<float> in = load(splats, splats.frames + 7 * frames * view, n);
  auto projection = project_splat(in, views.cameras[view], views.width, views.height, views.antialias);
  if (!projection.visible) return;
  const Ellipse<float>& e = projection.ellipse;
  const float p = SQRT_HALF_LOG2E * e.whiten[0], q = SQRT_HALF_LOG2E * e.whiten[1], r = SQRT_HALF_LOG2E * e.whiten[2];
  const float cut = vlog2(vmax(e.opacity * 255.0f, 1.0f)) + 1e-5f;
  const int32_t tiles = count_tiles({e.x, e.y, p, q, r, cut}, views.tiles_x(), views.tiles_y());
  if (tiles == 0) return;
  load_harmonics(splats, n, in);
  shade_splat(in, projection);
  if (!projection.visible) return;
  records[at] = {e.x, e.y, p, q, r, cut, e.depth, e.opacity, {e.color[0], e.color[1], e.color[2]}, body};
  counts[at] = tiles;
}

}  // namespace

void project(Stream stream, const SplatArrays& splats, int frames, const Views& views, const uint8_t* hidden,
             Record* records, int32_t* counts) {
  const int64_t count = splats.count * views.count;
  launch(project_kernel, (count + THREADS - 1) / THREADS, THREADS, stream, splats, frames, views, hidden, records,
         counts);
}

}  // namespace splatworld::gpu
