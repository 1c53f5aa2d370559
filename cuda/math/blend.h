// One splat at one pixel: how much it hides, and what that does to the light that is left.
#pragma once

#include "math/project.h"

namespace splatworld {

struct Hit {
  float u, v, alpha;  // alpha is clamped, and 0 below the least that is drawn
};

// p, q, r as in Record; dx, dy from the splat's middle.
SW_HD Hit splat_hit(float p, float q, float r, float opacity, float dx, float dy) {
  const float u = p * dx + q * dy, v = r * dy;
  const float alpha = opacity * vexp2(-(u * u) - v * v);
  return {u, v, alpha >= ALPHA_MIN ? vmin(alpha, ALPHA_MAX) : 0.0f};
}

// Whether an ellipse's least u^2 + v^2 over a rectangle of pixel centres is within its cut. left, top: of the first
// centre from the splat's middle; across, down: to the last. The least lies on the column nearest to the splat, or as near
// to its best place there as the rectangle reaches. A hundredth of a pixel absorbs rounding; the pixels decide.
SW_HD bool meets_block(float p, float q, float r, float cut, float left, float top, float across, float down) {
  const float slack = 1e-2f, tilt = -p * q / (q * q + r * r);
  const float low = left - slack, high = left + across + slack;
  const float nearest = vmax(low, vmin(high, 0.0f)), dy = vmax(top, vmin(top + down, tilt * nearest));
  const float share = q * dy, u = vmax(p * low + share, vmax(-(p * high) - share, 0.0f)), v = r * dy;
  return u * u + v * v <= cut + 1e-2f;
}

}  // namespace splatworld
