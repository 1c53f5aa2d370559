// SSIM of one pixel from the blurred moments of its window (Wang et al., 2004), and its derivatives.
#pragma once

#include "math/scalar.h"

namespace splatworld {

constexpr int SSIM_RADIUS = 5, SSIM_TAPS = 2 * SSIM_RADIUS + 1;
constexpr float SSIM_C1 = 0.01f * 0.01f, SSIM_C2 = 0.03f * 0.03f;

template <class F>
struct Ssim {
  F value, by_mean, by_xx, by_xy;  // derivatives by the blurred x, x x and x y
};

// mx, my: blurred x and y; squares: blurred x x + y y; product: blurred x y.
template <class F>
SW_HD Ssim<F> ssim_of(F mx, F my, F squares, F product) {
  const F means = mx * mx + my * my, v = squares - means, vxy = product - mx * my;
  const F a = 2.0f * mx * my + SSIM_C1, b = 2.0f * vxy + SSIM_C2, ca = means + SSIM_C1, cb = v + SSIM_C2;
  const F inverse = 1.0f / (ca * cb), ssim = a * b * inverse;
  const F by_xx = -(ssim * ca * inverse), by_xy = 2.0f * a * inverse;
  const F by_mean = 2.0f * (my * b * inverse - mx * (ssim * cb * inverse + by_xx)) - my * by_xy;
  return {ssim, by_mean, by_xx, by_xy};
}

}  // namespace splatworld
