#include <algorithm>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/threads.h"
#include "cpu/tiles.h"

namespace splatworld {
namespace {

constexpr int64_t CHUNK = 1024;  // splats a task; also the unit of the camera gradient's fixed summation order
constexpr float SQRT_HALF_LOG2E = 0.84932180028801904272f;

int frame_index(const SplatArrays& s, int64_t splat, int pair) {
  return s.skin_indices ? s.skin_indices[splat * s.pairs + pair] : s.body_ids[splat];
}

SW_HD SplatInput<FloatV> load(const SplatArrays& s, const Rows& rows) {
  SplatInput<FloatV> in;
  FloatV v[8];
  rows.load(s.means, 3, 3, v);
  in.mean = {v[0], v[1], v[2]};
  rows.load(s.log_scales, 3, 3, v);
  in.log_scale = {v[0], v[1], v[2]};
  rows.load(s.quats, 4, 4, v);
  in.quat = {v[0], v[1], v[2], v[3]};
  in.opacity_logit = rows.gather(s.opacity_logits, 1);
  in.frames = s.pairs;
  FloatV weight[MAX_WEIGHTS] = {broadcast(1.0f)};
  if (s.skin_weights) rows.load(s.skin_weights, s.pairs, s.pairs, weight);
  for (int pair = 0; pair < s.pairs; ++pair) {
    const float *first[LANES], *second[LANES];  // translation and w, then w and the rest: nothing behind the row is read
    for (int i = 0; i < LANES; ++i) {
      first[i] = s.frames + 7 * static_cast<int64_t>(frame_index(s, rows.index[i], pair));
      second[i] = first[i] + 3;
    }
    for (int j = 0; j < 4; ++j) {
      v[j] = join_fours(first + j);
      v[4 + j] = join_fours(second + j);
    }
    transpose_fours(v);
    transpose_fours(v + 4);
    in.frame_translation[pair] = {v[0], v[1], v[2]};
    in.frame_quat[pair] = {v[4], v[5], v[6], v[7]};
    in.frame_weight[pair] = weight[pair];
  }
  return in;
}

SW_HD void load_harmonics(const SplatArrays& s, const Rows& rows, SplatInput<FloatV>& in) {
  in.sh_count = s.sh_count;
  rows.load(s.sh, s.sh_stride * 3, s.sh_count * 3, in.sh[0]);
}

void project_rows(const SplatArrays& splats, const View& view, const Rows& rows, Record* records, int32_t* counts) {
  auto in = load(splats, rows);
  auto projection = project_splat(in, view.camera, view.width, view.height, view.antialias);
  const Ellipse<FloatV>& e = projection.ellipse;
  FloatV p = SQRT_HALF_LOG2E * e.whiten[0], q = SQRT_HALF_LOG2E * e.whiten[1], r = SQRT_HALF_LOG2E * e.whiten[2];
  FloatV cut = vlog2(vmax(e.opacity * 255.0f, broadcast(1.0f))) + 1e-5f;
  IntV tiles{};
  for_tile_rows({e.x, e.y, p, q, r, cut}, projection.visible, view, [&](IntV, const TileSpans& columns) {
    tiles += vmax(columns.last - columns.first + 1, IntV{});
  });
  if (any(tiles > 0)) {
    load_harmonics(splats, rows, in);
    shade_splat(in, projection);
    tiles &= projection.visible;
    IntV bodies;
    for (int i = 0; i < LANES; ++i) bodies[i] = splats.body_ids[rows.index[i]];
    FloatV columns[RECORD_FLOATS] = {e.x, e.y, p, q, r, cut, e.depth, e.opacity, e.color[0], e.color[1], e.color[2],
                                     (FloatV)bodies};
    rows.unload(reinterpret_cast<float*>(records), RECORD_FLOATS, RECORD_FLOATS, columns, rows.lanes() & bits(tiles > 0),
                [](float* target, const float* four, int) { std::memcpy(target, four, 4 * sizeof(float)); });
  }
  std::memcpy(counts + rows.index[0], &tiles, rows.valid * sizeof(int32_t));
}

// The ellipses' gradients from the sums over their pixels (fixed order: the order of their tiles).
SW_HD void gather_pairs(const Rows& rows, const int32_t* counts, const int64_t* first_pair,
                        const PairGradient* pair_gradients, FloatV sums[PAIR_FLOATS]) {
  float totals[LANES][12] = {};
  const float* from[LANES];
  for (int i = 0; i < LANES; ++i) {
    const PairGradient* pair = pair_gradients + first_pair[rows.index[i]];
    float total[PAIR_FLOATS] = {};
    for (int32_t t = 0; t < counts[rows.index[i]]; ++t) {
      float row[PAIR_FLOATS];
      std::memcpy(row, &pair[t], sizeof row);
      for (int k = 0; k < PAIR_FLOATS; ++k) total[k] += row[k];
    }
    std::memcpy(totals[i], total, sizeof total);
    from[i] = totals[i];
  }
  FloatV columns[12];
  for (int k = 0; k < 12; k += 4) {
    for (int j = 0; j < 4; ++j) columns[k + j] = join_fours(from + j);
    transpose_fours(columns + k);
    for (int i = 0; i < LANES; ++i) from[i] += 4;
  }
  for (int k = 0; k < PAIR_FLOATS; ++k) sums[k] = columns[k];
}

void add_camera(const Rows& rows, const CameraGradient<FloatV>& g, double* total) {
  const FloatV columns[CAMERA_FLOATS] = {
      g.rotation.m[0][0], g.rotation.m[0][1], g.rotation.m[0][2], g.rotation.m[1][0], g.rotation.m[1][1],
      g.rotation.m[1][2], g.rotation.m[2][0], g.rotation.m[2][1], g.rotation.m[2][2], g.position.x,
      g.position.y,       g.position.z,       g.focal[0],         g.focal[1],         g.center[0],
      g.center[1],        g.velocity.x,       g.velocity.y,       g.velocity.z,       g.turn.x,
      g.turn.y,           g.turn.z,           g.readout,          g.exposure};
  for (int k = 0; k < CAMERA_FLOATS; ++k)
    for (int i = 0; i < rows.valid; ++i) total[k] += columns[k][i];
}

}  // namespace

void project(const SplatArrays& splats, const View& view, Record* records, int32_t* counts) {
  parallel_for((splats.count + CHUNK - 1) / CHUNK, [&](long chunk) {
    int64_t end = std::min(splats.count, (chunk + 1) * CHUNK);
    for (int64_t n = chunk * CHUNK; n < end; n += LANES)
      project_rows(splats, view, {n, static_cast<int>(std::min<int64_t>(LANES, end - n)), splats.count}, records,
                   counts);
  });
}

void project_backward(const SplatArrays& splats, const View& view, const int32_t* counts, const int64_t* first_pair,
                      const PairGradient* pair_gradients, double* chunk_cameras, float* frame_pairs,
                      const SplatGradients& gradients) {
  const long chunks = (splats.count + CHUNK - 1) / CHUNK;
  parallel_for(chunks, [&](long chunk) {
    double* camera_total = chunk_cameras ? chunk_cameras + chunk * CAMERA_FLOATS : nullptr;
    if (camera_total) std::fill(camera_total, camera_total + CAMERA_FLOATS, 0.0);
    int64_t end = std::min(splats.count, (chunk + 1) * CHUNK);
    int32_t seen[CHUNK];
    int size = 0;
    for (int64_t n = chunk * CHUNK; n < end; ++n) {
      seen[size] = static_cast<int32_t>(n);
      size += counts[n] > 0;
    }
    for (int i = 0; i < size; i += LANES) {
      const Rows rows(seen + i, std::min(LANES, size - i), splats.count);
      FloatV s[PAIR_FLOATS];
      gather_pairs(rows, counts, first_pair, pair_gradients, s);
      auto in = load(splats, rows);
      load_harmonics(splats, rows, in);
      auto projection = project_splat(in, view.camera, view.width, view.height, view.antialias);
      shade_splat(in, projection);
      constexpr float once = 1 / SQRT_HALF_LOG2E, twice = once * once;  // the records' u, v carry this factor
      EllipseGradient<FloatV> g{s[0],         once * s[1],  once * s[2],       twice * s[3], twice * s[4],
                                 twice * s[5], {s[6], s[7], s[8]}, s[9]};
      CameraGradient<FloatV> camera_gradient;
      auto out = project_splat_backward(in, projection, view.camera, view.height, view.antialias, g, camera_gradient);
      auto add = [&](float* base, int64_t stride, int count, FloatV* columns) {
        if (!base) return;
        rows.unload(base, stride, count, columns, rows.lanes(), [](float* target, const float* four, int length) {
          for (int k = 0; k < std::min(length, 4); ++k) target[k] += four[k];
        });
      };
      FloatV mean[4] = {out.mean.x, out.mean.y, out.mean.z}, quat[4] = {out.quat.w, out.quat.x, out.quat.y, out.quat.z};
      FloatV log_scale[4] = {out.log_scale.x, out.log_scale.y, out.log_scale.z}, opacity_logit[4] = {out.opacity_logit};
      add(gradients.means, 3, 3, mean);
      add(gradients.log_scales, 3, 3, log_scale);
      add(gradients.quats, 4, 4, quat);
      add(gradients.opacity_logits, 1, 1, opacity_logit);
      add(gradients.sh, splats.sh_stride * 3, splats.sh_count * 3, out.sh[0]);
      if (camera_total) add_camera(rows, camera_gradient, camera_total);
      if (frame_pairs)
        for (int pair = 0; pair < splats.pairs; ++pair) {
          const Vec3<FloatV>& t = out.frame_translation[pair];
          const Quat<FloatV>& q = out.frame_quat[pair];
          const FloatV row[7] = {t.x, t.y, t.z, q.w, q.x, q.y, q.z};
          for (int lane = 0; lane < rows.valid; ++lane)
            for (int k = 0; k < 7; ++k) frame_pairs[(rows.index[lane] * splats.pairs + pair) * 7 + k] = row[k][lane];
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
