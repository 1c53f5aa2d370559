// One thread a splat and view.
#include "gpu/passes.h"
#include "gpu/sum.h"
#include "gpu/tiles.h"

#include <type_traits>

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 128;
constexpr int FRAME_THREADS = 512;  // most splats of a world often follow one frame

template <int VALUE>
using Number = std::integral_constant<int, VALUE>;

constexpr float SQRT_HALF_LOG2E = 0.84932180028801904272f;

__device__ int frame_index(const SplatArrays& s, int64_t splat, int pair) {
  return s.skin_indices ? s.skin_indices[splat * s.pairs + pair] : s.body_ids[splat];
}

// WEIGHTS frames move a splat, or any number where 0; HARMONICS colour it. What is known when compiling stays in registers.
template <int WEIGHTS, int HARMONICS>
__device__ SplatInput<float, WEIGHTS, HARMONICS> load(const SplatArrays& s, const float* frames, int64_t n) {
  SplatInput<float, WEIGHTS, HARMONICS> in;
  const float *mean = s.means + 3 * n, *scale = s.log_scales + 3 * n, *quat = s.quats + 4 * n;
  in.mean = {mean[0], mean[1], mean[2]};
  in.log_scale = {scale[0], scale[1], scale[2]};
  in.quat = {quat[0], quat[1], quat[2], quat[3]};
  in.opacity_logit = s.opacity_logits[n];
  in.frames = s.pairs;
  in.sh_count = s.sh_count;
  for (int pair = 0; pair < in.frames_used(); ++pair) {
    const float* frame = frames + 7 * static_cast<int64_t>(frame_index(s, n, pair));
    in.frame_translation[pair] = {frame[0], frame[1], frame[2]};
    in.frame_quat[pair] = {frame[3], frame[4], frame[5], frame[6]};
    in.frame_weight[pair] = s.skin_weights ? s.skin_weights[n * s.pairs + pair] : 1.0f;
  }
  return in;
}

template <int WEIGHTS, int HARMONICS>
__device__ void load_harmonics(const SplatArrays& s, int64_t n, SplatInput<float, WEIGHTS, HARMONICS>& in) {
  const float* from = s.sh + n * s.sh_stride * 3;
  for (int k = 0; k < in.harmonics_used(); ++k)
    for (int c = 0; c < 3; ++c) in.sh[k][c] = from[3 * k + c];
}

template <int WEIGHTS, int HARMONICS>
__global__ void __launch_bounds__(THREADS)
    project_kernel(SplatArrays splats, int frames, Views views, const uint8_t* hidden, Record* records,
                               int32_t* counts) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (at >= splats.count * views.count) return;
  const uint32_t each = static_cast<uint32_t>(splats.count), view = static_cast<uint32_t>(at) / each;  // indices are int32
  const int64_t n = static_cast<uint32_t>(at) % each;
  const int32_t body = splats.body_ids[n];
  counts[at] = 0;
  if (hidden && hidden[body]) return;
  auto in = load<WEIGHTS, HARMONICS>(splats, splats.frames + 7 * static_cast<int64_t>(frames) * view, n);
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

// The ellipse's gradient from the sums over its tiles, in their order.
__device__ EllipseGradient<float> gather_pairs(const PairGradient* pairs, int32_t count) {
  float s[PAIR_FLOATS] = {};
  for (int32_t t = 0; t < count; ++t) {
    const float* row = reinterpret_cast<const float*>(pairs + t);
    for (int k = 0; k < PAIR_FLOATS; ++k) s[k] += row[k];
  }
  constexpr float once = 1 / SQRT_HALF_LOG2E, twice = once * once;  // the records' u, v carry this factor
  return {s[0], once * s[1], once * s[2], twice * s[3], twice * s[4], twice * s[5], {s[6], s[7], s[8]}, s[9]};
}

template <int COUNT>
__device__ void add(float* base, int64_t n, const float (&values)[COUNT]) {
  if (!base) return;
  for (int k = 0; k < COUNT; ++k) base[n * COUNT + k] += values[k];
}

template <int HARMONICS>
__device__ void add_splat(const SplatArrays& splats, int64_t n, const SplatGradient<float>& g,
                          const SplatGradients& gradients) {
  add(gradients.means, n, {g.mean.x, g.mean.y, g.mean.z});
  add(gradients.log_scales, n, {g.log_scale.x, g.log_scale.y, g.log_scale.z});
  add(gradients.quats, n, {g.quat.w, g.quat.x, g.quat.y, g.quat.z});
  add(gradients.opacity_logits, n, {g.opacity_logit});
  if (!gradients.sh) return;
  float* out = gradients.sh + n * splats.sh_stride * 3;
  for (int k = 0; k < (HARMONICS ? HARMONICS : splats.sh_count); ++k)
    for (int c = 0; c < 3; ++c) out[3 * k + c] += g.sh[k][c];
}

// One thread a splat, which goes over the views: nobody else adds to its gradients.
template <int WEIGHTS, int HARMONICS>
__global__ void __launch_bounds__(THREADS)
    gradient_kernel(SplatArrays splats, int frames, Views views, const int32_t* counts, const int64_t* first_pair,
                    const PairGradient* pair_gradients, double* block_cameras, float* frame_pairs,
                    SplatGradients gradients) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  for (int view = 0; view < views.count; ++view) {
    const int64_t at = view * splats.count + n;
    const bool seen = n < splats.count && counts[at] > 0;
    CameraGradient<float> by_camera{};
    if (seen) {
      auto in = load<WEIGHTS, HARMONICS>(splats, splats.frames + 7 * static_cast<int64_t>(frames) * view, n);
      load_harmonics(splats, n, in);
      auto projection = project_splat(in, views.cameras[view], views.width, views.height, views.antialias);
      shade_splat(in, projection);
      const auto own = gather_pairs(pair_gradients + first_pair[at], counts[at]);
      const auto g = project_splat_backward(in, projection, views.cameras[view], views.height, views.antialias, own,
                                            by_camera);
      add_splat<HARMONICS>(splats, n, g, gradients);
      for (int pair = 0; frame_pairs && pair < in.frames_used(); ++pair) {
        const Vec3<float>& t = g.frame_translation[pair];
        const Quat<float>& q = g.frame_quat[pair];
        const float row[7] = {t.x, t.y, t.z, q.w, q.x, q.y, q.z};
        for (int k = 0; k < 7; ++k) frame_pairs[(at * in.frames_used() + pair) * 7 + k] = row[k];
      }
    }
    if (!block_cameras) continue;
    const Mat3<float>& r = by_camera.rotation;
    const double columns[CAMERA_FLOATS] = {
        r.m[0][0], r.m[0][1], r.m[0][2], r.m[1][0], r.m[1][1], r.m[1][2], r.m[2][0], r.m[2][1], r.m[2][2],
        by_camera.position.x, by_camera.position.y, by_camera.position.z, by_camera.focal[0], by_camera.focal[1],
        by_camera.center[0], by_camera.center[1], by_camera.velocity.x, by_camera.velocity.y, by_camera.velocity.z,
        by_camera.turn.x, by_camera.turn.y, by_camera.turn.z, by_camera.readout, by_camera.exposure};
    sum_block<THREADS>(columns,
                       block_cameras + (static_cast<int64_t>(blockIdx.x) * views.count + view) * CAMERA_FLOATS);
  }
}

// One block a view and number of its camera.
__global__ void camera_kernel(int64_t blocks, int views, const double* block_cameras, double* camera) {
  __shared__ double total;
  const int64_t stride = static_cast<int64_t>(views) * CAMERA_FLOATS;
  double sum[1] = {};
  for (int64_t block = threadIdx.x; block < blocks; block += THREADS)
    sum[0] += block_cameras[block * stride + blockIdx.x];
  sum_block<THREADS>(sum, &total);
  if (threadIdx.x == 0) camera[blockIdx.x] += total;
}

// One block a view and frame.
__global__ void frame_kernel(SplatArrays splats, FrameLists lists, const int32_t* counts, const float* frame_pairs,
                             double* out) {
  __shared__ double totals[7];
  const int view = blockIdx.x / lists.frames, frame = blockIdx.x % lists.frames;
  double sums[7] = {};
  for (int64_t i = lists.start[frame] + threadIdx.x; i < lists.start[frame + 1]; i += FRAME_THREADS) {
    const int64_t n = lists.pairs[i] / splats.pairs;
    if (!counts[view * splats.count + n]) continue;
    const float* row = frame_pairs + (view * splats.count * splats.pairs + lists.pairs[i]) * 7;
    for (int k = 0; k < 7; ++k) sums[k] += row[k];
  }
  sum_block<FRAME_THREADS>(sums, totals);
  if (threadIdx.x < 7) out[7 * blockIdx.x + threadIdx.x] += totals[threadIdx.x];
}

// Calls use with the numbers of frames and harmonics of a splat: those of most worlds, or 0 and 0 for any.
template <class Use>
void with_sizes(const SplatArrays& splats, Use&& use) {
  if (splats.pairs != 1) return use(Number<0>{}, Number<0>{});
  switch (splats.sh_count) {
    case 1: return use(Number<1>{}, Number<1>{});
    case 4: return use(Number<1>{}, Number<4>{});
    case 9: return use(Number<1>{}, Number<9>{});
    default: return use(Number<1>{}, Number<16>{});
  }
}

}  // namespace

void project(Stream stream, const SplatArrays& splats, int frames, const Views& views, const uint8_t* hidden,
             Record* records, int32_t* counts) {
  const int64_t count = splats.count * views.count;
  with_sizes(splats, [&](auto weights, auto harmonics) {
    launch(project_kernel<weights, harmonics>, (count + THREADS - 1) / THREADS, THREADS, stream, splats, frames, views,
           hidden, records, counts);
  });
}

void project_backward(Stream stream, const SplatArrays& splats, int frames, const Views& views, const int32_t* counts,
                      const int64_t* first_pair, const PairGradient* pair_gradients, double* block_cameras,
                      float* frame_pairs, const FrameLists& lists, const SplatGradients& gradients) {
  const int64_t blocks = (splats.count + THREADS - 1) / THREADS;
  with_sizes(splats, [&](auto weights, auto harmonics) {
    launch(gradient_kernel<weights, harmonics>, blocks, THREADS, stream, splats, frames, views, counts, first_pair,
           pair_gradients, block_cameras, frame_pairs, gradients);
  });
  if (block_cameras)
    launch(camera_kernel, int64_t{views.count} * CAMERA_FLOATS, THREADS, stream, blocks, views.count, block_cameras,
           gradients.camera);
  if (frame_pairs)
    launch(frame_kernel, int64_t{views.count} * lists.frames, FRAME_THREADS, stream, splats, lists, counts, frame_pairs,
           gradients.frames);
}

}  // namespace splatworld::gpu
