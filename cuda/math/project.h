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
constexpr int CAMERA_FLOATS = 19;

// camera_from_world rotation (row major) and translation, centre in the world, focal and principal point in px.
struct Camera {
  float rotation[9], translation[3], position[3], focal[2], center[2];
};
static_assert(sizeof(Camera) == CAMERA_FLOATS * sizeof(float));

template <class F>
struct CameraGradient {
  Mat3<F> rotation;
  Vec3<F> translation, position;
  F focal[2], center[2];
};

// One splat's parameters as optimised, and the frames that move it.
template <class F>
struct SplatInput {
  Vec3<F> mean, log_scale;
  Quat<F> quat;
  F opacity_logit;
  int frames;  // pairs in use
  Quat<F> frame_quat[MAX_WEIGHTS];
  Vec3<F> frame_translation[MAX_WEIGHTS];
  F frame_weight[MAX_WEIGHTS];
  int sh_count;
  F sh[MAX_SH][3];
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

// The ellipse on the screen. conic = (a, b, c): sigma = a dx^2 / 2 + b dx dy + c dy^2 / 2.
template <class F>
struct Ellipse {
  F x, y, conic[3], opacity, color[3], depth;
};

template <class F>
using MaskOf = decltype(F{} < F{});

// Everything the backward pass wants again; recomputed there rather than stored.
template <class F>
struct Projection {
  Quat<F> blend, rotation;          // frames' blended rotation; world rotation of the splat
  F blend_inverse_norm, quat_inverse_norm;
  Vec3<F> world_mean, local;        // world and camera space
  Vec3<F> ray, direction;           // unit view ray in the world and in the rest frame
  F ray_inverse_length;
  F jacobian_x, jacobian_y;         // x/z and y/z, clamped to the widened frustum
  MaskOf<F> clamped_x, clamped_y;
  Mat3<F> axes;                     // camera-space rotation of the splat
  F flat[2][3];                     // J * axes, before scaling
  Vec3<F> scale;
  F cov[3], det, antialias;         // dilated covariance (xx, xy, yy)
  F basis[MAX_SH], raw_color[3], opacity;
  Ellipse<F> ellipse;
  MaskOf<F> visible;
};

template <class F>
SW_HD F frame_sign(const SplatInput<F>& in, int i) {
  return select(dot(in.frame_quat[i], in.frame_quat[0]) < F{}, F{} - 1.0f, F{} + 1.0f);
}

template <class F>
SW_HD Projection<F> project_splat(const SplatInput<F>& in, const Camera& camera, int width, int height, bool antialias) {
  Projection<F> out;
  const F one = F{} + 1.0f;

  // Pose: means blend linearly, rotations by sign-aligned nlerp.
  Quat<F> blend = in.frame_weight[0] * in.frame_quat[0];
  Vec3<F> mean = in.frame_weight[0] * (rotate(in.frame_quat[0], in.mean) + in.frame_translation[0]);
  for (int i = 1; i < in.frames; ++i) {
    blend = blend + (in.frame_weight[i] * frame_sign(in, i)) * in.frame_quat[i];
    mean = mean + in.frame_weight[i] * (rotate(in.frame_quat[i], in.mean) + in.frame_translation[i]);
  }
  F blend_norm2 = dot(blend, blend), quat_norm2 = dot(in.quat, in.quat);
  out.blend_inverse_norm = one / vsqrt(blend_norm2);
  out.quat_inverse_norm = one / vsqrt(quat_norm2);
  out.blend = out.blend_inverse_norm * blend;
  out.rotation = multiply(out.blend, out.quat_inverse_norm * in.quat);
  out.world_mean = mean;

  // Camera space.
  Mat3<F> rotation;
  for (int i = 0; i < 9; ++i) rotation.m[i / 3][i % 3] = F{} + camera.rotation[i];
  Vec3<F> local = apply(rotation, mean);
  local = {local.x + camera.translation[0], local.y + camera.translation[1], local.z + camera.translation[2]};
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
  out.scale = {vexp(in.log_scale.x), vexp(in.log_scale.y), vexp(in.log_scale.z)};
  const F scale[3] = {out.scale.x, out.scale.y, out.scale.z};
  F stretched[2][3];
  for (int k = 0; k < 3; ++k) {
    out.flat[0][k] = camera.focal[0] * inverse_z * (out.axes.m[0][k] - out.jacobian_x * out.axes.m[2][k]);
    out.flat[1][k] = camera.focal[1] * inverse_z * (out.axes.m[1][k] - out.jacobian_y * out.axes.m[2][k]);
    stretched[0][k] = out.flat[0][k] * scale[k];
    stretched[1][k] = out.flat[1][k] * scale[k];
  }
  Vec3<F> row0{stretched[0][0], stretched[0][1], stretched[0][2]};
  Vec3<F> row1{stretched[1][0], stretched[1][1], stretched[1][2]};
  F xx = dot(row0, row0), xy = dot(row0, row1), yy = dot(row1, row1);
  // det(B B^T) is the squared area the rows span (Cauchy-Binet): sums of squares, where xx yy - xy^2 would cancel.
  Vec3<F> area = cross(row0, row1);
  F det_before = dot(area, area);
  out.det = det_before + DILATION * (xx + yy) + DILATION * DILATION;
  out.cov[0] = xx + DILATION;
  out.cov[1] = xy;
  out.cov[2] = yy + DILATION;
  F inverse_det = one / out.det;

  // Colour as seen along the view ray, in the splat's rest frame.
  Vec3<F> offset{mean.x - camera.position[0], mean.y - camera.position[1], mean.z - camera.position[2]};
  F length2 = dot(offset, offset);
  out.ray_inverse_length = one / vsqrt(vmax(length2, F{} + 1e-24f));
  out.ray = out.ray_inverse_length * offset;
  out.direction = rotate(conjugate(out.blend), out.ray);
  sh_basis(out.direction, in.sh_count, out.basis);
  Ellipse<F>& e = out.ellipse;
  for (int c = 0; c < 3; ++c) {
    F value = F{} + 0.5f;
    for (int k = 0; k < in.sh_count; ++k) value = value + out.basis[k] * in.sh[k][c];
    out.raw_color[c] = value;
    e.color[c] = vmax(value, F{});
  }

  out.opacity = one / (one + vexp(-in.opacity_logit));
  out.antialias = antialias ? vsqrt(det_before * inverse_det) : one;
  e.opacity = out.opacity * out.antialias;
  e.x = camera.focal[0] * slope_x + camera.center[0];
  e.y = camera.focal[1] * slope_y + camera.center[1];
  e.conic[0] = out.cov[2] * inverse_det;
  e.conic[1] = -(out.cov[1] * inverse_det);
  e.conic[2] = out.cov[0] * inverse_det;
  e.depth = local.z;

  // Written so that NaN fails every test.
  F finite_sum = e.x + e.y + e.conic[0] + e.conic[1] + e.conic[2] + e.depth + out.cov[0] + out.cov[2] + e.color[0] +
                 e.color[1] + e.color[2] + out.raw_color[0] + out.raw_color[1] + out.raw_color[2] +
                 in.opacity_logit + in.log_scale.x + in.log_scale.y + in.log_scale.z;
  out.visible = (local.z >= F{} + NEAR_PLANE) & (out.det > F{}) & (e.conic[0] > F{}) & (e.conic[2] > F{}) &
                (quat_norm2 > F{} + 1e-24f) & (blend_norm2 > F{} + 1e-24f) & (e.opacity >= F{} + ALPHA_MIN) &
                is_finite(finite_sum);
  return out;
}

// Adds nothing to what it is given: returns the gradients of one splat, and of the camera, from those of its ellipse.
// gradient.opacity is the gradient of log(ellipse.opacity).
template <class F>
SW_HD SplatGradient<F> project_splat_backward(const SplatInput<F>& in, const Projection<F>& fwd, const Camera& camera,
                                              bool antialias, const Ellipse<F>& gradient,
                                              CameraGradient<F>& camera_gradient) {
  SplatGradient<F> out;
  const F one = F{} + 1.0f;
  const Ellipse<F>& e = fwd.ellipse;
  F inverse_z = one / fwd.local.z;
  const F scale[3] = {fwd.scale.x, fwd.scale.y, fwd.scale.z};

  // Inverse of a symmetric matrix: dL/dC = -K (dL/dK) K.
  F a = e.conic[0], b = e.conic[1], c = e.conic[2];
  F ga = gradient.conic[0], gb = gradient.conic[1], gc = gradient.conic[2];
  F g_xx = -(a * a * ga + a * b * gb + b * b * gc);
  F g_yy = -(b * b * ga + b * c * gb + c * c * gc);
  F g_xy = -(2.0f * a * b * ga + (a * c + b * b) * gb + 2.0f * b * c * gc);

  out.opacity_logit = gradient.opacity * (one - fwd.opacity);
  if (antialias) {
    // log ratio = (log det_before - log det_after) / 2
    F det_before = fwd.antialias * fwd.antialias * fwd.det;
    F before = select(det_before > F{} + 1e-20f, 0.5f * gradient.opacity / vmax(det_before, F{} + 1e-20f), F{});
    F after = -(0.5f * gradient.opacity / fwd.det);
    F xx = fwd.cov[0] - DILATION, yy = fwd.cov[2] - DILATION;
    g_xx = g_xx + before * yy + after * fwd.cov[2];
    g_yy = g_yy + before * xx + after * fwd.cov[0];
    g_xy = g_xy - 2.0f * (before + after) * fwd.cov[1];
  }

  // B = flat * scale, flat_0 = fx/z (axes_0 - jx axes_2).
  F fx_z = camera.focal[0] * inverse_z, fy_z = camera.focal[1] * inverse_z;
  Mat3<F> g_axes;
  F g_scale[3], g_fx_z = F{}, g_fy_z = F{}, g_jx = F{}, g_jy = F{};
  for (int k = 0; k < 3; ++k) {
    F s = scale[k], b0 = fwd.flat[0][k] * s, b1 = fwd.flat[1][k] * s;
    F gb0 = 2.0f * g_xx * b0 + g_xy * b1, gb1 = 2.0f * g_yy * b1 + g_xy * b0;
    g_scale[k] = gb0 * b0 + gb1 * b1;  // already times scale: gradient of log_scale
    F g0 = gb0 * s, g1 = gb1 * s;
    F m0 = fwd.axes.m[0][k], m1 = fwd.axes.m[1][k], m2 = fwd.axes.m[2][k];
    g_axes.m[0][k] = fx_z * g0;
    g_axes.m[1][k] = fy_z * g1;
    g_axes.m[2][k] = -(fx_z * fwd.jacobian_x * g0 + fy_z * fwd.jacobian_y * g1);
    g_fx_z = g_fx_z + g0 * (m0 - fwd.jacobian_x * m2);
    g_fy_z = g_fy_z + g1 * (m1 - fwd.jacobian_y * m2);
    g_jx = g_jx - fx_z * g0 * m2;
    g_jy = g_jy - fy_z * g1 * m2;
  }
  out.log_scale = {g_scale[0], g_scale[1], g_scale[2]};

  F slope_x = fwd.local.x * inverse_z, slope_y = fwd.local.y * inverse_z;
  // A clamped slope depends on the image's edge (center, focal) instead of the splat.
  F edge_x = select(fwd.clamped_x, g_jx, F{}), edge_y = select(fwd.clamped_y, g_jy, F{});
  F g_slope_x = gradient.x * camera.focal[0] + (g_jx - edge_x);
  F g_slope_y = gradient.y * camera.focal[1] + (g_jy - edge_y);
  camera_gradient.focal[0] =
      g_fx_z * inverse_z + gradient.x * slope_x - edge_x * fwd.jacobian_x / camera.focal[0];
  camera_gradient.focal[1] =
      g_fy_z * inverse_z + gradient.y * slope_y - edge_y * fwd.jacobian_y / camera.focal[1];
  camera_gradient.center[0] = gradient.x - edge_x / camera.focal[0];
  camera_gradient.center[1] = gradient.y - edge_y / camera.focal[1];
  Vec3<F> g_local{g_slope_x * inverse_z, g_slope_y * inverse_z,
                  gradient.depth - inverse_z * (g_slope_x * slope_x + g_slope_y * slope_y + g_fx_z * fx_z +
                                                g_fy_z * fy_z)};

  // Camera: local = R mean + t, axes = R own.
  Mat3<F> rotation, own = to_matrix(fwd.rotation), g_own;
  for (int i = 0; i < 9; ++i) rotation.m[i / 3][i % 3] = F{} + camera.rotation[i];
  const F g_local_[3] = {g_local.x, g_local.y, g_local.z};
  const F mean_[3] = {fwd.world_mean.x, fwd.world_mean.y, fwd.world_mean.z};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      camera_gradient.rotation.m[i][j] = g_local_[i] * mean_[j] + g_axes.m[i][0] * own.m[j][0] +
                                         g_axes.m[i][1] * own.m[j][1] + g_axes.m[i][2] * own.m[j][2];
      g_own.m[i][j] = rotation.m[0][i] * g_axes.m[0][j] + rotation.m[1][i] * g_axes.m[1][j] +
                      rotation.m[2][i] * g_axes.m[2][j];
    }
  camera_gradient.translation = g_local;
  Vec3<F> g_mean = apply_transposed(rotation, g_local);

  // Colour, and through the view direction back to the mean, the camera and the blended rotation.
  F basis_weight[MAX_SH];
  for (int k = 0; k < in.sh_count; ++k) basis_weight[k] = F{};
  for (int ch = 0; ch < 3; ++ch) {
    F g = select(fwd.raw_color[ch] > F{}, gradient.color[ch], F{});
    for (int k = 0; k < in.sh_count; ++k) {
      out.sh[k][ch] = g * fwd.basis[k];
      basis_weight[k] = basis_weight[k] + g * in.sh[k][ch];
    }
  }
  Vec3<F> g_direction = sh_basis_backward(fwd.direction, in.sh_count, basis_weight);
  Quat<F> g_blend = conjugate(rotate_backward(conjugate(fwd.blend), fwd.ray, g_direction));
  Vec3<F> g_ray = rotate(fwd.blend, g_direction);
  Vec3<F> g_offset = fwd.ray_inverse_length * (g_ray - dot(g_ray, fwd.ray) * fwd.ray);
  g_mean = g_mean + g_offset;
  camera_gradient.position = {-g_offset.x, -g_offset.y, -g_offset.z};

  // Rotation = blend * unit quaternion of the splat.
  Quat<F> g_rotation = to_matrix_backward(fwd.rotation, g_own);
  Quat<F> unit = fwd.quat_inverse_norm * in.quat;
  g_blend = g_blend + multiply(g_rotation, conjugate(unit));
  out.quat = normalize_backward(unit, fwd.quat_inverse_norm, multiply(conjugate(fwd.blend), g_rotation));

  // Frames.
  g_blend = normalize_backward(fwd.blend, fwd.blend_inverse_norm, g_blend);
  out.mean = {F{}, F{}, F{}};
  for (int i = 0; i < in.frames; ++i) {
    F weight = in.frame_weight[i];
    F signed_weight = i == 0 ? weight : weight * frame_sign(in, i);
    Vec3<F> g = weight * g_mean;
    out.frame_translation[i] = g;
    out.frame_quat[i] = signed_weight * g_blend + rotate_backward(in.frame_quat[i], in.mean, g);
    out.mean = out.mean + rotate(conjugate(in.frame_quat[i]), g);
  }
  return out;
}

}  // namespace splatworld
