#include <algorithm>
#include <cstring>

#include "cpu/threads.h"
#include "cpu/tiles.h"

namespace splatworld {
namespace {

constexpr int64_t CHUNK = 1024;  // splats a task; also the unit of the camera gradient's fixed summation order
constexpr float SQRT_HALF_LOG2E = 0.84932180028801904272f;

// LANES splats side by side. Lanes past the end repeat the last splat and are never written.
struct Lanes {
  int64_t start;
  int valid;
  int64_t index(int lane) const { return start + (lane < valid ? lane : valid - 1); }

  FloatV gather(const float* base, int64_t stride, int64_t offset) const {
    FloatV value;
    for (int i = 0; i < LANES; ++i) value[i] = base[index(i) * stride + offset];
    return value;
  }

  void add(float* base, int64_t stride, IntV mask, const FloatV* values, int count) const {
    for (int i = 0; i < valid; ++i) {
      float* row = base + index(i) * stride;
      for (int k = 0; mask[i] && k < count; ++k) row[k] += values[k][i];
    }
  }
};

int frame_index(const SplatArrays& s, int64_t splat, int pair) {
  return s.skin_indices ? s.skin_indices[splat * s.pairs + pair] : s.body_ids[splat];
}

SplatInput<FloatV> load(const SplatArrays& s, const Lanes& lanes) {
  SplatInput<FloatV> in;
  in.mean = {lanes.gather(s.means, 3, 0), lanes.gather(s.means, 3, 1), lanes.gather(s.means, 3, 2)};
  in.log_scale = {lanes.gather(s.log_scales, 3, 0), lanes.gather(s.log_scales, 3, 1), lanes.gather(s.log_scales, 3, 2)};
  in.quat = {lanes.gather(s.quats, 4, 0), lanes.gather(s.quats, 4, 1), lanes.gather(s.quats, 4, 2),
             lanes.gather(s.quats, 4, 3)};
  in.opacity_logit = lanes.gather(s.opacity_logits, 1, 0);
  in.frames = s.pairs;
  for (int pair = 0; pair < s.pairs; ++pair) {
    FloatV frame[7];
    for (int j = 0; j < 7; ++j)
      for (int i = 0; i < LANES; ++i)
        frame[j][i] = s.frames[7 * static_cast<int64_t>(frame_index(s, lanes.index(i), pair)) + j];
    in.frame_translation[pair] = {frame[0], frame[1], frame[2]};
    in.frame_quat[pair] = {frame[3], frame[4], frame[5], frame[6]};
    in.frame_weight[pair] = s.skin_weights ? lanes.gather(s.skin_weights, s.pairs, pair) : broadcast(1.0f);
  }
  return in;
}

void load_harmonics(const SplatArrays& s, const Lanes& lanes, SplatInput<FloatV>& in) {
  in.sh_count = s.sh_count;
  for (int k = 0; k < s.sh_count; ++k)
    for (int c = 0; c < 3; ++c) in.sh[k][c] = lanes.gather(s.sh, s.sh_stride * 3, k * 3 + c);
}

int32_t count_tiles(const Record& record, const View& view) {
  Extent extent = tile_extent(record, view);
  int32_t tiles = 0;
  for (int row = extent.rows.first; row <= extent.rows.last; ++row) {
    TileSpan columns = tile_columns(record, extent, view, row);
    tiles += std::max(columns.last - columns.first + 1, 0);
  }
  return tiles;
}

void project_lanes(const SplatArrays& splats, const View& view, const Lanes& lanes, Record* records, int32_t* counts) {
  for (int i = 0; i < lanes.valid; ++i) counts[lanes.start + i] = 0;
  auto in = load(splats, lanes);
  auto projection = project_splat(in, view.camera, view.width, view.height, view.antialias);
  if (!any(projection.visible)) return;
  load_harmonics(splats, lanes, in);
  shade_splat(in, projection);
  const Ellipse<FloatV>& e = projection.ellipse;
  FloatV p = SQRT_HALF_LOG2E * e.whiten[0], q = SQRT_HALF_LOG2E * e.whiten[1], r = SQRT_HALF_LOG2E * e.whiten[2];
  FloatV cut = vlog2(vmax(e.opacity * 255.0f, broadcast(1.0f))) + 1e-5f;
  for (int i = 0; i < lanes.valid; ++i) {
    int64_t n = lanes.start + i;
    Record& record = records[n];
    if (!projection.visible[i]) continue;
    record = {e.x[i], e.y[i], p[i], q[i], r[i], e.opacity[i], {e.color[0][i], e.color[1][i], e.color[2][i]},
              e.depth[i], cut[i], splats.body_ids[n]};
    counts[n] = count_tiles(record, view);
  }
}

// The ellipse's gradient from the sums over its pixels (fixed order: the order of its tiles).
void gather_pairs(const Lanes& lanes, const int32_t* counts, const int64_t* first_pair,
                  const PairGradient* pair_gradients, FloatV sums[PAIR_FLOATS]) {
  for (int k = 0; k < PAIR_FLOATS; ++k) sums[k] = FloatV{};
  for (int i = 0; i < lanes.valid; ++i) {
    int64_t n = lanes.start + i;
    if (!counts[n]) continue;
    float total[PAIR_FLOATS] = {};
    for (int32_t t = 0; t < counts[n]; ++t) {
      float row[PAIR_FLOATS];
      std::memcpy(row, &pair_gradients[first_pair[n] + t], sizeof row);
      for (int k = 0; k < PAIR_FLOATS; ++k) total[k] += row[k];
    }
    for (int k = 0; k < PAIR_FLOATS; ++k) sums[k][i] = total[k];
  }
}

void add_camera(const Lanes& lanes, IntV seen, const CameraGradient<FloatV>& g, double* total) {
  FloatV rows[CAMERA_FLOATS] = {
      g.rotation.m[0][0], g.rotation.m[0][1], g.rotation.m[0][2], g.rotation.m[1][0], g.rotation.m[1][1],
      g.rotation.m[1][2], g.rotation.m[2][0], g.rotation.m[2][1], g.rotation.m[2][2], g.position.x,
      g.position.y,       g.position.z,       g.focal[0],         g.focal[1],         g.center[0],
      g.center[1],        g.velocity.x,       g.velocity.y,       g.velocity.z,       g.turn.x,
      g.turn.y,           g.turn.z,           g.readout,          g.exposure};
  for (int k = 0; k < CAMERA_FLOATS; ++k)
    for (int i = 0; i < lanes.valid; ++i)
      if (seen[i]) total[k] += rows[k][i];
}

}  // namespace

void project(const SplatArrays& splats, const View& view, Record* records, int32_t* counts) {
  parallel_for((splats.count + CHUNK - 1) / CHUNK, [&](long chunk) {
    int64_t end = std::min(splats.count, (chunk + 1) * CHUNK);
    for (int64_t n = chunk * CHUNK; n < end; n += LANES)
      project_lanes(splats, view, {n, static_cast<int>(std::min<int64_t>(LANES, end - n))}, records, counts);
  });
}

void project_backward(const SplatArrays& splats, const View& view, const int32_t* counts, const int64_t* first_pair,
                      const PairGradient* pair_gradients, double* chunk_cameras, float* frame_pairs,
                      const SplatGradients& gradients) {
  const long chunks = (splats.count + CHUNK - 1) / CHUNK;
  parallel_for(chunks, [&](long chunk) {
    int64_t end = std::min(splats.count, (chunk + 1) * CHUNK);
    double* camera_total = chunk_cameras ? chunk_cameras + chunk * CAMERA_FLOATS : nullptr;
    if (camera_total) std::fill(camera_total, camera_total + CAMERA_FLOATS, 0.0);
    for (int64_t n = chunk * CHUNK; n < end; n += LANES) {
      Lanes lanes{n, static_cast<int>(std::min<int64_t>(LANES, end - n))};
      IntV seen{};
      for (int i = 0; i < lanes.valid; ++i) seen[i] = counts[n + i] > 0 ? -1 : 0;
      if (!any(seen)) continue;
      FloatV s[PAIR_FLOATS];
      gather_pairs(lanes, counts, first_pair, pair_gradients, s);
      auto in = load(splats, lanes);
      load_harmonics(splats, lanes, in);
      auto projection = project_splat(in, view.camera, view.width, view.height, view.antialias);
      shade_splat(in, projection);
      constexpr float once = 1 / SQRT_HALF_LOG2E, twice = once * once;  // the records' u, v carry this factor
      EllipseGradient<FloatV> g{s[0],         once * s[1],  once * s[2],       twice * s[3], twice * s[4],
                                 twice * s[5], {s[6], s[7], s[8]}, s[9]};
      CameraGradient<FloatV> camera_gradient;
      auto out = project_splat_backward(in, projection, view.camera, view.height, view.antialias, g, camera_gradient);
      auto add3 = [&](float* base, Vec3<FloatV> v) {
        const FloatV xyz[3] = {v.x, v.y, v.z};
        lanes.add(base, 3, seen, xyz, 3);
      };
      if (gradients.means) add3(gradients.means, out.mean);
      if (gradients.log_scales) add3(gradients.log_scales, out.log_scale);
      if (gradients.quats) {
        const FloatV quat[4] = {out.quat.w, out.quat.x, out.quat.y, out.quat.z};
        lanes.add(gradients.quats, 4, seen, quat, 4);
      }
      if (gradients.opacity_logits) lanes.add(gradients.opacity_logits, 1, seen, &out.opacity_logit, 1);
      if (gradients.sh) lanes.add(gradients.sh, splats.sh_stride * 3, seen, out.sh[0], splats.sh_count * 3);
      if (camera_total) add_camera(lanes, seen, camera_gradient, camera_total);
      if (frame_pairs)
        for (int pair = 0; pair < splats.pairs; ++pair) {
          const Vec3<FloatV>& t = out.frame_translation[pair];
          const Quat<FloatV>& q = out.frame_quat[pair];
          const FloatV row[7] = {t.x, t.y, t.z, q.w, q.x, q.y, q.z};
          for (int i = 0; i < lanes.valid; ++i)
            for (int k = 0; k < 7; ++k) frame_pairs[((n + i) * splats.pairs + pair) * 7 + k] = row[k][i];
        }
    }
  });
  if (chunk_cameras && gradients.camera)
    for (long chunk = 0; chunk < chunks; ++chunk)
      for (int k = 0; k < CAMERA_FLOATS; ++k) gradients.camera[k] += chunk_cameras[chunk * CAMERA_FLOATS + k];
  if (frame_pairs && gradients.frames)
    for (int64_t n = 0; n < splats.count; ++n)
      for (int pair = 0; counts[n] && pair < splats.pairs; ++pair) {
        const float* row = frame_pairs + (n * splats.pairs + pair) * 7;
        double* target = gradients.frames + 7 * static_cast<int64_t>(frame_index(splats, n, pair));
        for (int k = 0; k < 7; ++k) target[k] += row[k];
      }
}

}  // namespace splatworld
