// Real spherical harmonics to degree 3 in the order and signs of the field's splat files
// (Sloan, "Efficient Spherical Harmonic Evaluation", 2013).
#pragma once

#include "math/vector.h"

namespace splatworld {

constexpr int MAX_SH = 16;

// Values of the first `count` (1, 4, 9 or 16) harmonics at the unit direction d.
template <class F>
SW_HD void sh_basis(Vec3<F> d, int count, F* basis) {
  basis[0] = F{} + 0.28209479177387814f;
  if (count < 4) return;
  basis[1] = -0.4886025119029199f * d.y;
  basis[2] = 0.4886025119029199f * d.z;
  basis[3] = -0.4886025119029199f * d.x;
  if (count < 9) return;
  F xx = d.x * d.x, yy = d.y * d.y, zz = d.z * d.z;
  basis[4] = 1.0925484305920792f * d.x * d.y;
  basis[5] = -1.0925484305920792f * d.y * d.z;
  basis[6] = 0.31539156525252005f * (2.0f * zz - xx - yy);
  basis[7] = -1.0925484305920792f * d.x * d.z;
  basis[8] = 0.5462742152960396f * (xx - yy);
  if (count < 16) return;
  basis[9] = -0.5900435899266435f * d.y * (3.0f * xx - yy);
  basis[10] = 2.890611442640554f * d.x * d.y * d.z;
  basis[11] = -0.4570457994644658f * d.y * (4.0f * zz - xx - yy);
  basis[12] = 0.3731763325901154f * d.z * (2.0f * zz - 3.0f * xx - 3.0f * yy);
  basis[13] = -0.4570457994644658f * d.x * (4.0f * zz - xx - yy);
  basis[14] = 1.445305721320277f * d.z * (xx - yy);
  basis[15] = -0.5900435899266435f * d.x * (xx - 3.0f * yy);
}

// Gradient in d of sum_k weight[k] * basis[k](d), d taken as three free numbers.
template <class F>
SW_HD Vec3<F> sh_basis_backward(Vec3<F> d, int count, const F* weight) {
  Vec3<F> g{F{}, F{}, F{}};
  if (count < 4) return g;
  g.x = -0.4886025119029199f * weight[3];
  g.y = -0.4886025119029199f * weight[1];
  g.z = 0.4886025119029199f * weight[2];
  if (count < 9) return g;
  F w4 = 1.0925484305920792f * weight[4], w5 = -1.0925484305920792f * weight[5];
  F w6 = 0.31539156525252005f * weight[6], w7 = -1.0925484305920792f * weight[7], w8 = 1.0925484305920792f * weight[8];
  g.x = g.x + w4 * d.y - 2.0f * w6 * d.x + w7 * d.z + w8 * d.x;
  g.y = g.y + w4 * d.x + w5 * d.z - 2.0f * w6 * d.y - w8 * d.y;
  g.z = g.z + w5 * d.y + 4.0f * w6 * d.z + w7 * d.x;
  if (count < 16) return g;
  F xx = d.x * d.x, yy = d.y * d.y, zz = d.z * d.z;
  F w9 = -0.5900435899266435f * weight[9], w10 = 2.890611442640554f * weight[10];
  F w11 = -0.4570457994644658f * weight[11], w12 = 0.3731763325901154f * weight[12];
  F w13 = -0.4570457994644658f * weight[13], w14 = 1.445305721320277f * weight[14];
  F w15 = -0.5900435899266435f * weight[15];
  g.x = g.x + 6.0f * w9 * d.x * d.y + w10 * d.y * d.z - 2.0f * w11 * d.x * d.y - 6.0f * w12 * d.x * d.z +
        w13 * (4.0f * zz - 3.0f * xx - yy) + 2.0f * w14 * d.x * d.z + 3.0f * w15 * (xx - yy);
  g.y = g.y + 3.0f * w9 * (xx - yy) + w10 * d.x * d.z + w11 * (4.0f * zz - xx - 3.0f * yy) - 6.0f * w12 * d.y * d.z -
        2.0f * w13 * d.x * d.y - 2.0f * w14 * d.y * d.z - 6.0f * w15 * d.x * d.y;
  g.z = g.z + w10 * d.x * d.y + 8.0f * w11 * d.y * d.z + w12 * (6.0f * zz - 3.0f * xx - 3.0f * yy) +
        8.0f * w13 * d.x * d.z + w14 * (xx - yy);
  return g;
}

}  // namespace splatworld
