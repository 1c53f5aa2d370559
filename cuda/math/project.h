// One splat on its way to the screen: posed by its frames, seen by a camera, flattened to an ellipse.
//
// Kerbl et al., "3D Gaussian Splatting" (2023), eqs. 5-6; linear blend skinning for the posing. project_splat() and
// project_splat_backward() are the only place where these formulas and their derivatives are written.
#pragma once

#include "math/sh.h"

namespace splatworld {

constexpr float NEAR_PLANE = 0.01f;
constexpr float DILATION = 0.3f;
constexpr float ALPHA_MIN = 1.0f / 255.0f;
constexpr float ALPHA_MAX = 0.999f;
constexpr float TRANSMITTANCE_STOP = 1e-4f;
constexpr float FRUSTUM_MARGIN = 0.15f;  // 0.3 of half the field of view

constexpr int MAX_WEIGHTS = 8;
constexpr int CAMERA_FLOATS = 24;

constexpr float ROW_REACH = 0.6f;  // rows are read up to this share of the picture's height from its middle
constexpr float SQRT_TWELFTH = 0.28867513459481288225f;  // deviation of a box of length one

// camera_from_world rotation (row major), position in the world, focal and principal point in px. A moving camera's
// linear and angular velocity in its own axes, and for how many seconds rows are read and each row is exposed.
struct Camera {
  float rotation[9], position[3], focal[2], center[2], velocity[3], turn[3], readout, exposure;
  SW_HD bool blurs() const {
    return exposure != 0.0f && (velocity[0] != 0.0f || velocity[1] != 0.0f || velocity[2] != 0.0f || turn[0] != 0.0f ||
                                turn[1] != 0.0f || turn[2] != 0.0f);
  }
};
static_assert(sizeof(Camera) == CAMERA_FLOATS * sizeof(float));

template <class F>
struct CameraGradient {
  Mat3<F> rotation;
  Vec3<F> position;
  F focal[2], center[2];
  Vec3<F> velocity, turn;
  F readout, exposure;
};

// One splat's parameters as optimised, and the frames that move it. FRAMES and HARMONICS are their numbers where they are
// known when compiling, so that a GPU keeps all of it in registers; 0: `frames` and `sh_count` tell.
template <class F, int FRAMES = 0, int HARMONICS = 0>
struct SplatInput {
  Vec3<F> mean, log_scale;
  Quat<F> quat;
  F opacity_logit;
  int frames;  // pairs in use
  Quat<F> frame_quat[MAX_WEIGHTS];  // need not be unit
  Vec3<F> frame_translation[MAX_WEIGHTS];
  F frame_weight[MAX_WEIGHTS];
  int sh_count;
  F sh[MAX_SH][3];
  SW_HD int frames_used() const { return FRAMES ? FRAMES : frames; }
  SW_HD int harmonics_used() const { return HARMONICS ? HARMONICS : sh_count; }
};

template <class F>
struct SplatGradient {
  Vec3<F> mean, log_scale;
  Quat<F> quat;
  F opacity_logit;
  Quat<F> frame_quat[MAX_WEIGHTS];
  Vec3<F> frame_translation[MAX_WEIGHTS];
  F sh[MAX_SH][3];
};

// The ellipse on the screen. whiten = (p, q, r), the Cholesky factor of the inverse covariance: with u = p dx + q dy and
// v = r dy, what is seen falls off as exp(-(u^2 + v^2) / 2).
template <class F>
struct Ellipse {
  F x, y, whiten[3], opacity, color[3], depth;
};

// Sums over the ellipse's pixels of G = dL/dlog(alpha), and of G times u, v, u^2, u v, v^2. In these coordinates a
// needle's moments are of order one; in pixels they would grow with the fourth power of its length.
template <class F>
struct EllipseGradient {
  F log_opacity, u, v, uu, uv, vv, color[3], depth;
};

template <class F>
using MaskOf = decltype(F{} < F{});

// Everything the backward pass wants again; recomputed there rather than stored.
template <class F>
struct Projection {
  Quat<F> frame_quat[MAX_WEIGHTS];  // unit, sign-aligned to the first
  F frame_inverse_norm[MAX_WEIGHTS];
  Quat<F> blend, rotation;          // frames' blended rotation; world rotation of the splat
  F blend_inverse_norm, quat_inverse_norm;
  Vec3<F> offset, still;            // from the camera, in world and in camera axes, when the middle row is read
  Vec3<F> speed, local;             // of the camera at that point; in camera axes when the splat's own row is read
  F row;                            // of the splat, share of the height from the middle
  MaskOf<F> clamped_row;
  Vec3<F> ray, direction;           // unit view ray in the world and in the rest frame
  F ray_inverse_length;
  F jacobian_x, jacobian_y;         // x/z and y/z, clamped to the widened frustum
  MaskOf<F> clamped_x, clamped_y;
  Mat3<F> axes;                     // camera-space rotation of the splat
  F flat[2][3], scale[3];           // J * axes, before scaling
  Vec3<F> row0, row1, area;         // of B = J * axes * scale, and their cross product
  F smear[2];                       // px, deviation of the path over the exposure: a fourth column of B
  Vec3<F> smear_area;               // row0 and row1 crossed with it
  F det_before, det_still, det, spread;  // of the covariance before dilation, after, and smeared; opacity's loss
  F basis[MAX_SH], raw_color[3], opacity;
  Ellipse<F> ellipse;
  MaskOf<F> visible;
};

template <class F, int FRAMES, int HARMONICS>
SW_HD Projection<F> project_splat(const SplatInput<F, FRAMES, HARMONICS>& in, const Camera& camera, int width, int height,
                                  bool antialias) {
  Projection<F> out;
  const F one = F{} + 1.0f;

  // Pose: means blend linearly, rotations by sign-aligned nlerp. Means in double precision until the camera's position is
  // subtracted: a step of float at a few metres is a visible part of a pixel, and moves every pixel of the splat.
  using Double = decltype(widen(one));
  Quat<F> blend{F{}, F{}, F{}, F{}};
  Vec3<Double> mean{Double{}, Double{}, Double{}};
  for (int i = 0; i < in.frames_used(); ++i) {
    out.frame_inverse_norm[i] = one / vsqrt(dot(in.frame_quat[i], in.frame_quat[i]));
    Quat<F> unit = out.frame_inverse_norm[i] * in.frame_quat[i];
    if (i > 0) {
      F sign = select(dot(unit, out.frame_quat[0]) < F{}, F{} - 1.0f, one);
      out.frame_inverse_norm[i] = sign * out.frame_inverse_norm[i];
      unit = sign * unit;
    }
    out.frame_quat[i] = unit;
    blend = blend + in.frame_weight[i] * unit;
    mean = mean + widen(in.frame_weight[i]) * (rotate_by_direction(widen(in.frame_quat[i]), widen(in.mean)) +
                                               widen(in.frame_translation[i]));
  }
  F blend_norm2 = dot(blend, blend), quat_norm2 = dot(in.quat, in.quat);
  out.blend_inverse_norm = one / vsqrt(blend_norm2);
  out.quat_inverse_norm = one / vsqrt(quat_norm2);
  out.blend = out.blend_inverse_norm * blend;
  out.rotation = multiply(out.blend, out.quat_inverse_norm * in.quat);

  // Camera space.
  Mat3<F> rotation;
  for (int i = 0; i < 9; ++i) rotation.m[i / 3][i % 3] = F{} + camera.rotation[i];
  // Subtracting before rotating keeps the digits of what is close to the camera.
  Vec3<F> offset{narrow(mean.x - camera.position[0]), narrow(mean.y - camera.position[1]),
                 narrow(mean.z - camera.position[2])};
  out.offset = offset;
  out.still = apply(rotation, offset);

  // Rolling shutter: the splat's row is read before or after the middle one, when the camera is elsewhere.
  const Vec3<F> turn{F{} + camera.turn[0], F{} + camera.turn[1], F{} + camera.turn[2]};
  out.speed = Vec3<F>{F{} + camera.velocity[0], F{} + camera.velocity[1], F{} + camera.velocity[2]} +
              cross(turn, out.still);
  F row = (camera.focal[1] * (out.still.y / out.still.z) + camera.center[1]) * (1.0f / height) - 0.5f;
  out.clamped_row = (row > F{} + ROW_REACH) | (row < F{} - ROW_REACH);
  out.row = vmax(vmin(row, F{} + ROW_REACH), F{} - ROW_REACH);
  Vec3<F> local = out.still - (camera.readout * out.row) * out.speed;
  out.local = local;
  F inverse_z = one / local.z;
  F slope_x = local.x * inverse_z, slope_y = local.y * inverse_z;

  // The Jacobian stops growing just outside the frustum, where the linearisation means nothing.
  const float high_x = (width - camera.center[0] + FRUSTUM_MARGIN * width) / camera.focal[0];
  const float low_x = -(camera.center[0] + FRUSTUM_MARGIN * width) / camera.focal[0];
  const float high_y = (height - camera.center[1] + FRUSTUM_MARGIN * height) / camera.focal[1];
  const float low_y = -(camera.center[1] + FRUSTUM_MARGIN * height) / camera.focal[1];
  out.clamped_x = (slope_x > F{} + high_x) | (slope_x < F{} + low_x);
  out.clamped_y = (slope_y > F{} + high_y) | (slope_y < F{} + low_y);
  out.jacobian_x = vmax(vmin(slope_x, F{} + high_x), F{} + low_x);
  out.jacobian_y = vmax(vmin(slope_y, F{} + high_y), F{} + low_y);

  // Covariance on the screen, as B B^T with B = J R S.
  Mat3<F> own = to_matrix(out.rotation);
  for (int i = 0; i < 3; ++i)
    for (int k = 0; k < 3; ++k)
      out.axes.m[i][k] =
          rotation.m[i][0] * own.m[0][k] + rotation.m[i][1] * own.m[1][k] + rotation.m[i][2] * own.m[2][k];
  const F log_scale[3] = {in.log_scale.x, in.log_scale.y, in.log_scale.z};
  F row0[3], row1[3];
  for (int k = 0; k < 3; ++k) {
    out.scale[k] = vexp(log_scale[k]);
    out.flat[0][k] = camera.focal[0] * inverse_z * (out.axes.m[0][k] - out.jacobian_x * out.axes.m[2][k]);
    out.flat[1][k] = camera.focal[1] * inverse_z * (out.axes.m[1][k] - out.jacobian_y * out.axes.m[2][k]);
    row0[k] = out.flat[0][k] * out.scale[k];
    row1[k] = out.flat[1][k] * out.scale[k];
  }
  out.row0 = {row0[0], row0[1], row0[2]};
  out.row1 = {row1[0], row1[1], row1[2]};
  F xx = dot(out.row0, out.row0), xy = dot(out.row0, out.row1), yy = dot(out.row1, out.row1);
  // det(B B^T) is the squared area the rows span (Cauchy-Binet): sums of squares, where xx yy - xy^2 would cancel. Their
  // cross product is written with the rotation's orthogonality, (a0 - jx a2) x (a1 - jy a2) = a2 + jx a0 + jy a1, for
  // the same reason.
  F area[3], unit_area = camera.focal[0] * camera.focal[1] * inverse_z * inverse_z;
  for (int k = 0; k < 3; ++k)
    area[k] = unit_area * out.scale[(k + 1) % 3] * out.scale[(k + 2) % 3] *
              (out.axes.m[2][k] + out.jacobian_x * out.axes.m[0][k] + out.jacobian_y * out.axes.m[1][k]);
  out.area = {area[0], area[1], area[2]};
  out.det_before = dot(out.area, out.area);
  out.det_still = out.det_before + DILATION * (xx + yy) + DILATION * DILATION;
  out.det = out.det_still;
  F dilated_yy = yy + DILATION;
  const bool blurs = camera.blurs();
  if (blurs) {
    // Motion blur: the covariance of the path over the exposure adds to that of the splat.
    const float share = SQRT_TWELFTH * camera.exposure;
    F mx = share * camera.focal[0] * inverse_z * (out.speed.x - out.jacobian_x * out.speed.z);
    F my = share * camera.focal[1] * inverse_z * (out.speed.y - out.jacobian_y * out.speed.z);
    out.smear[0] = mx;
    out.smear[1] = my;
    out.smear_area = my * out.row0 - mx * out.row1;
    out.det = out.det_still + dot(out.smear_area, out.smear_area) + DILATION * (mx * mx + my * my);
    xy = xy + mx * my;
    dilated_yy = dilated_yy + my * my;
  }

  Ellipse<F>& e = out.ellipse;
  out.opacity = one / (one + vexp(-in.opacity_logit));
  // What is smeared covers more and so hides less.
  out.spread = antialias ? vsqrt(out.det_before / out.det) : blurs ? vsqrt(out.det_still / out.det) : one;
  e.opacity = out.opacity * out.spread;
  e.x = camera.focal[0] * slope_x + camera.center[0];
  e.y = camera.focal[1] * slope_y + camera.center[1];
  e.whiten[0] = vsqrt(dilated_yy / out.det);
  e.whiten[1] = -(e.whiten[0] * xy / dilated_yy);
  e.whiten[2] = one / vsqrt(dilated_yy);
  e.depth = local.z;

  // Written so that NaN fails every test.
  F finite_sum = e.x + e.y + e.whiten[0] + e.whiten[1] + e.whiten[2] + e.depth + xx + yy + in.opacity_logit +
                 in.log_scale.x + in.log_scale.y + in.log_scale.z + out.rotation.w + out.rotation.x + out.rotation.y +
                 out.rotation.z;
  out.visible = (local.z >= F{} + NEAR_PLANE) & (out.det > F{}) & (e.whiten[0] > F{}) & (e.whiten[2] > F{}) &
                (quat_norm2 > F{} + 1e-24f) & (blend_norm2 > F{} + 1e-24f) & (e.opacity >= F{} + ALPHA_MIN) &
                is_finite(finite_sum);
  return out;
}

// The colour of a projected splat, as seen along the view ray in its rest frame. On its own because most splats of a
// world are out of view, and their harmonics, most of what they hold, need not even be read.
template <class F, int FRAMES, int HARMONICS>
SW_HD void shade_splat(const SplatInput<F, FRAMES, HARMONICS>& in, Projection<F>& out) {
  const F one = F{} + 1.0f;
  F length2 = dot(out.offset, out.offset);
  out.ray_inverse_length = one / vsqrt(vmax(length2, F{} + 1e-24f));
  out.ray = out.ray_inverse_length * out.offset;
  out.direction = rotate(conjugate(out.blend), out.ray);
  sh_basis(out.direction, in.harmonics_used(), out.basis);
  for (int c = 0; c < 3; ++c) {
    F value = F{} + 0.5f;
    for (int k = 0; k < in.harmonics_used(); ++k) value = value + out.basis[k] * in.sh[k][c];
    out.raw_color[c] = value;
    out.ellipse.color[c] = vmax(value, F{});
  }
  out.visible = out.visible & is_finite(out.raw_color[0] + out.raw_color[1] + out.raw_color[2]);
}

// The gradients of one splat and of the camera, from those of its ellipse.
template <class F, int FRAMES, int HARMONICS>
SW_HD SplatGradient<F> project_splat_backward(const SplatInput<F, FRAMES, HARMONICS>& in, const Projection<F>& fwd,
                                              const Camera& camera, int height, bool antialias,
                                              const EllipseGradient<F>& gradient, CameraGradient<F>& camera_gradient) {
  SplatGradient<F> out;
  const F one = F{} + 1.0f;
  F inverse_z = one / fwd.local.z;
  F p = fwd.ellipse.whiten[0], q = fwd.ellipse.whiten[1], r = fwd.ellipse.whiten[2];
  F g_x = p * gradient.u, g_y = q * gradient.u + r * gradient.v;
  out.opacity_logit = gradient.log_opacity * (one - fwd.opacity);

  // With W the whitening and M the second moments, dL/dB = W^T M (W B). The first row of W B, p row0 + q row1, is all
  // cancellation for a needle; row1 x area is what is left of it.
  const bool blurs = camera.blurs();
  const F mx = blurs ? fwd.smear[0] : F{}, my = blurs ? fwd.smear[1] : F{};
  Vec3<F> white0 = (DILATION * p * r * r) * fwd.row0 + (p * r * r) * cross(fwd.row1, fwd.area);
  if (blurs) white0 = white0 + (p * r * r * my) * fwd.smear_area;
  Vec3<F> white1 = r * fwd.row1;
  Vec3<F> moved0 = gradient.uu * white0 + gradient.uv * white1, moved1 = gradient.uv * white0 + gradient.vv * white1;
  Vec3<F> g_row0 = p * moved0, g_row1 = q * moved0 + r * moved1;
  Vec3<F> g_log_scale{white0.x * moved0.x + white1.x * moved1.x, white0.y * moved0.y + white1.y * moved1.y,
                      white0.z * moved0.z + white1.z * moved1.z};
  F g_mx = F{}, g_my = F{};
  if (blurs) {
    F white = p * r * r * (DILATION * mx - dot(fwd.row1, fwd.smear_area));
    F m0 = gradient.uu * white + gradient.uv * (r * my), m1 = gradient.uv * white + gradient.vv * (r * my);
    g_mx = p * m0;
    g_my = q * m0 + r * m1;
  }
  if (antialias || blurs) {
    // log of the ratio = (log before - log det) / 2, and d det_before = 2 area . d(row0 x row1).
    F loss = gradient.log_opacity / fwd.det;
    F before = antialias ? fwd.det_before : fwd.det_still;
    F gain = select(before > F{}, gradient.log_opacity / before, F{});
    F by_area = gain - loss, by_length = DILATION * ((antialias ? F{} : gain) - loss);
    Vec3<F> a0 = by_area * cross(fwd.row1, fwd.area) + by_length * fwd.row0;
    Vec3<F> a1 = by_area * cross(fwd.area, fwd.row0) + by_length * fwd.row1;
    if (blurs) {
      a0 = a0 - (loss * my) * fwd.smear_area;
      a1 = a1 + (loss * mx) * fwd.smear_area;
      g_mx = g_mx - loss * (DILATION * mx - dot(fwd.row1, fwd.smear_area));
      g_my = g_my - loss * (DILATION * my + dot(fwd.row0, fwd.smear_area));
    }
    g_row0 = g_row0 + a0;
    g_row1 = g_row1 + a1;
    g_log_scale = {g_log_scale.x + a0.x * fwd.row0.x + a1.x * fwd.row1.x,
                   g_log_scale.y + a0.y * fwd.row0.y + a1.y * fwd.row1.y,
                   g_log_scale.z + a0.z * fwd.row0.z + a1.z * fwd.row1.z};
  }
  out.log_scale = g_log_scale;

  // B = flat * scale, flat_0 = fx/z (axes_0 - jx axes_2).
  F fx_z = camera.focal[0] * inverse_z, fy_z = camera.focal[1] * inverse_z;
  const F g_rows[2][3] = {{g_row0.x, g_row0.y, g_row0.z}, {g_row1.x, g_row1.y, g_row1.z}};
  Mat3<F> g_axes;
  F g_fx_z = F{}, g_fy_z = F{}, g_jx = F{}, g_jy = F{};
  for (int k = 0; k < 3; ++k) {
    F g0 = g_rows[0][k] * fwd.scale[k], g1 = g_rows[1][k] * fwd.scale[k];
    F m0 = fwd.axes.m[0][k], m1 = fwd.axes.m[1][k], m2 = fwd.axes.m[2][k];
    g_axes.m[0][k] = fx_z * g0;
    g_axes.m[1][k] = fy_z * g1;
    g_axes.m[2][k] = -(fx_z * fwd.jacobian_x * g0 + fy_z * fwd.jacobian_y * g1);
    g_fx_z = g_fx_z + g0 * (m0 - fwd.jacobian_x * m2);
    g_fy_z = g_fy_z + g1 * (m1 - fwd.jacobian_y * m2);
    g_jx = g_jx - fx_z * g0 * m2;
    g_jy = g_jy - fy_z * g1 * m2;
  }
  Vec3<F> g_speed{F{}, F{}, F{}};
  camera_gradient.exposure = F{};
  if (blurs) {
    // The path is one more axis, exposure / sqrt(12) times the speed.
    const float share = SQRT_TWELFTH * camera.exposure;
    Vec3<F> g_axis{fx_z * g_mx, fy_z * g_my, -(fx_z * fwd.jacobian_x * g_mx + fy_z * fwd.jacobian_y * g_my)};
    F x = share * (fwd.speed.x - fwd.jacobian_x * fwd.speed.z), y = share * (fwd.speed.y - fwd.jacobian_y * fwd.speed.z);
    g_fx_z = g_fx_z + g_mx * x;
    g_fy_z = g_fy_z + g_my * y;
    g_jx = g_jx - share * fx_z * g_mx * fwd.speed.z;
    g_jy = g_jy - share * fy_z * g_my * fwd.speed.z;
    g_speed = (F{} + share) * g_axis;
    camera_gradient.exposure = SQRT_TWELFTH * dot(g_axis, fwd.speed);
  }

  F slope_x = fwd.local.x * inverse_z, slope_y = fwd.local.y * inverse_z;
  // A clamped slope depends on the image's edge (center, focal) instead of the splat.
  F edge_x = select(fwd.clamped_x, g_jx, F{}), edge_y = select(fwd.clamped_y, g_jy, F{});
  F g_slope_x = g_x * camera.focal[0] + (g_jx - edge_x);
  F g_slope_y = g_y * camera.focal[1] + (g_jy - edge_y);
  camera_gradient.focal[0] =
      g_fx_z * inverse_z + g_x * slope_x - edge_x * fwd.jacobian_x / camera.focal[0];
  camera_gradient.focal[1] =
      g_fy_z * inverse_z + g_y * slope_y - edge_y * fwd.jacobian_y / camera.focal[1];
  camera_gradient.center[0] = g_x - edge_x / camera.focal[0];
  camera_gradient.center[1] = g_y - edge_y / camera.focal[1];
  Vec3<F> g_local{g_slope_x * inverse_z, g_slope_y * inverse_z,
                  gradient.depth - inverse_z * (g_slope_x * slope_x + g_slope_y * slope_y + g_fx_z * fx_z +
                                                g_fy_z * fy_z)};

  // local = still - readout row speed, speed = velocity + turn x still.
  F along = dot(g_local, fwd.speed);
  camera_gradient.readout = -(fwd.row * along);
  F g_row = select(fwd.clamped_row, F{}, -(camera.readout * (1.0f / height)) * along);
  F still_inverse_z = one / fwd.still.z, still_slope = fwd.still.y * still_inverse_z;
  camera_gradient.focal[1] = camera_gradient.focal[1] + g_row * still_slope;
  camera_gradient.center[1] = camera_gradient.center[1] + g_row;
  g_speed = g_speed - (camera.readout * fwd.row) * g_local;
  camera_gradient.velocity = g_speed;
  camera_gradient.turn = cross(fwd.still, g_speed);
  const Vec3<F> turn{F{} + camera.turn[0], F{} + camera.turn[1], F{} + camera.turn[2]};
  F g_slope = g_row * camera.focal[1] * still_inverse_z;
  g_local = g_local + cross(g_speed, turn) + Vec3<F>{F{}, g_slope, -(g_slope * still_slope)};

  // Camera: still = R offset, axes = R own.
  Mat3<F> rotation, own = to_matrix(fwd.rotation), g_own;
  for (int i = 0; i < 9; ++i) rotation.m[i / 3][i % 3] = F{} + camera.rotation[i];
  const F g_local_[3] = {g_local.x, g_local.y, g_local.z};
  const F offset_[3] = {fwd.offset.x, fwd.offset.y, fwd.offset.z};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      camera_gradient.rotation.m[i][j] = g_local_[i] * offset_[j] + g_axes.m[i][0] * own.m[j][0] +
                                         g_axes.m[i][1] * own.m[j][1] + g_axes.m[i][2] * own.m[j][2];
      g_own.m[i][j] = rotation.m[0][i] * g_axes.m[0][j] + rotation.m[1][i] * g_axes.m[1][j] +
                      rotation.m[2][i] * g_axes.m[2][j];
    }
  Vec3<F> g_mean = apply_transposed(rotation, g_local);

  // Colour, and through the view direction back to the mean, the camera and the blended rotation.
  F basis_weight[MAX_SH];
  for (int k = 0; k < in.harmonics_used(); ++k) basis_weight[k] = F{};
  for (int ch = 0; ch < 3; ++ch) {
    F g = select(fwd.raw_color[ch] > F{}, gradient.color[ch], F{});
    for (int k = 0; k < in.harmonics_used(); ++k) {
      out.sh[k][ch] = g * fwd.basis[k];
      basis_weight[k] = basis_weight[k] + g * in.sh[k][ch];
    }
  }
  Vec3<F> g_direction = sh_basis_backward(fwd.direction, in.harmonics_used(), basis_weight);
  Quat<F> g_blend = conjugate(rotate_backward(conjugate(fwd.blend), fwd.ray, g_direction));
  Vec3<F> g_ray = rotate(fwd.blend, g_direction);
  g_mean = g_mean + fwd.ray_inverse_length * (g_ray - dot(g_ray, fwd.ray) * fwd.ray);
  camera_gradient.position = {-g_mean.x, -g_mean.y, -g_mean.z};

  // Rotation = blend * unit quaternion of the splat.
  Quat<F> g_rotation = to_matrix_backward(fwd.rotation, g_own);
  Quat<F> unit = fwd.quat_inverse_norm * in.quat;
  g_blend = g_blend + multiply(g_rotation, conjugate(unit));
  out.quat = normalize_backward(unit, fwd.quat_inverse_norm, multiply(conjugate(fwd.blend), g_rotation));

  // Frames.
  g_blend = normalize_backward(fwd.blend, fwd.blend_inverse_norm, g_blend);
  out.mean = {F{}, F{}, F{}};
  for (int i = 0; i < in.frames_used(); ++i) {
    Vec3<F> g = in.frame_weight[i] * g_mean;
    Quat<F> g_unit = in.frame_weight[i] * g_blend + rotate_backward(fwd.frame_quat[i], in.mean, g);
    out.frame_translation[i] = g;
    out.frame_quat[i] = normalize_backward(fwd.frame_quat[i], fwd.frame_inverse_norm[i], g_unit);
    out.mean = out.mean + rotate(conjugate(fwd.frame_quat[i]), g);
  }
  return out;
}

}  // namespace splatworld
