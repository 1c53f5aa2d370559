// Small vectors, quaternions (wxyz) and the derivatives of their products.
#pragma once

#include "math/scalar.h"

namespace splatworld {

template <class F>
struct Vec3 {
  F x, y, z;
};

template <class F>
struct Quat {
  F w, x, y, z;
};

template <class F>
struct Mat3 {
  F m[3][3];
};

template <class F>
SW_HD Vec3<F> operator+(Vec3<F> a, Vec3<F> b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}

template <class F>
SW_HD Vec3<F> operator-(Vec3<F> a, Vec3<F> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}

template <class F>
SW_HD Vec3<F> operator*(F s, Vec3<F> a) {
  return {s * a.x, s * a.y, s * a.z};
}

template <class F>
SW_HD auto widen(Vec3<F> a) -> Vec3<decltype(widen(a.x))> {
  return {widen(a.x), widen(a.y), widen(a.z)};
}

template <class F>
SW_HD F dot(Vec3<F> a, Vec3<F> b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <class F>
SW_HD Vec3<F> cross(Vec3<F> a, Vec3<F> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

template <class F>
SW_HD Quat<F> operator+(Quat<F> a, Quat<F> b) {
  return {a.w + b.w, a.x + b.x, a.y + b.y, a.z + b.z};
}

template <class F>
SW_HD Quat<F> operator*(F s, Quat<F> a) {
  return {s * a.w, s * a.x, s * a.y, s * a.z};
}

template <class F>
SW_HD F dot(Quat<F> a, Quat<F> b) {
  return a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z;
}

template <class F>
SW_HD auto widen(Quat<F> a) -> Quat<decltype(widen(a.w))> {
  return {widen(a.w), widen(a.x), widen(a.y), widen(a.z)};
}

template <class F>
SW_HD Quat<F> conjugate(Quat<F> a) {
  return {a.w, -a.x, -a.y, -a.z};
}

// Hamilton product. Its adjoints: <g, a b> has gradient g conj(b) in a and conj(a) g in b.
template <class F>
SW_HD Quat<F> multiply(Quat<F> a, Quat<F> b) {
  return {a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z, a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
          a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x, a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w};
}

// Gradient of q = raw / |raw|, given the gradient of q and 1 / |raw|.
template <class F>
SW_HD Quat<F> normalize_backward(Quat<F> q, F inverse_norm, Quat<F> gradient) {
  F along = -dot(q, gradient);
  return inverse_norm * (gradient + along * q);
}

template <class F>
SW_HD Vec3<F> rotate(Quat<F> q, Vec3<F> a) {
  Vec3<F> v{q.x, q.y, q.z};
  Vec3<F> once = cross(v, a);
  Vec3<F> twice = cross(v, once);
  F two_w = q.w + q.w;
  return {a.x + two_w * once.x + (twice.x + twice.x), a.y + two_w * once.y + (twice.y + twice.y),
          a.z + two_w * once.z + (twice.z + twice.z)};
}

// The same for a q of any length.
template <class F>
SW_HD Vec3<F> rotate_by_direction(Quat<F> q, Vec3<F> a) {
  Vec3<F> v{q.x, q.y, q.z};
  Vec3<F> once = cross(v, a);
  return a + (2.0f / dot(q, q)) * (q.w * once + cross(v, once));
}

// Gradient in q of <g, rotate(q, a)>.
template <class F>
SW_HD Quat<F> rotate_backward(Quat<F> q, Vec3<F> a, Vec3<F> g) {
  Vec3<F> v{q.x, q.y, q.z};
  F va = dot(v, a), gv = dot(g, v), ga = dot(g, a);
  Vec3<F> axis = q.w * cross(a, g) + va * g + gv * a + (-(ga + ga)) * v;
  F w = dot(cross(v, a), g);
  return {w + w, axis.x + axis.x, axis.y + axis.y, axis.z + axis.z};
}

template <class F>
SW_HD Mat3<F> to_matrix(Quat<F> q) {
  F x2 = q.x + q.x, y2 = q.y + q.y, z2 = q.z + q.z;
  F xx = q.x * x2, yy = q.y * y2, zz = q.z * z2, xy = q.x * y2, xz = q.x * z2, yz = q.y * z2;
  F wx = q.w * x2, wy = q.w * y2, wz = q.w * z2;
  return {{{1.0f - (yy + zz), xy - wz, xz + wy},
           {xy + wz, 1.0f - (xx + zz), yz - wx},
           {xz - wy, yz + wx, 1.0f - (xx + yy)}}};
}

// Gradient in q of <g, to_matrix(q)>.
template <class F>
SW_HD Quat<F> to_matrix_backward(Quat<F> q, const Mat3<F>& g) {
  F a = g.m[2][1] - g.m[1][2], b = g.m[0][2] - g.m[2][0], c = g.m[1][0] - g.m[0][1];
  F xy = g.m[0][1] + g.m[1][0], xz = g.m[0][2] + g.m[2][0], yz = g.m[1][2] + g.m[2][1];
  Quat<F> half{q.x * a + q.y * b + q.z * c, q.w * a + q.y * xy + q.z * xz - 2.0f * q.x * (g.m[1][1] + g.m[2][2]),
               q.w * b + q.x * xy + q.z * yz - 2.0f * q.y * (g.m[0][0] + g.m[2][2]),
               q.w * c + q.x * xz + q.y * yz - 2.0f * q.z * (g.m[0][0] + g.m[1][1])};
  return {half.w + half.w, half.x + half.x, half.y + half.y, half.z + half.z};
}

template <class F>
SW_HD Vec3<F> apply(const Mat3<F>& a, Vec3<F> v) {
  return {a.m[0][0] * v.x + a.m[0][1] * v.y + a.m[0][2] * v.z, a.m[1][0] * v.x + a.m[1][1] * v.y + a.m[1][2] * v.z,
          a.m[2][0] * v.x + a.m[2][1] * v.y + a.m[2][2] * v.z};
}

template <class F>
SW_HD Vec3<F> apply_transposed(const Mat3<F>& a, Vec3<F> v) {
  return {a.m[0][0] * v.x + a.m[1][0] * v.y + a.m[2][0] * v.z, a.m[0][1] * v.x + a.m[1][1] * v.y + a.m[2][1] * v.z,
          a.m[0][2] * v.x + a.m[1][2] * v.y + a.m[2][2] * v.z};
}

}  // namespace splatworld
