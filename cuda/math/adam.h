// One number's step of Adam (Kingma & Ba, 2015).
#pragma once

#include "math/scalar.h"

namespace splatworld {

struct AdamStep {
  float beta1, beta2, epsilon, correction1, correction2;  // corrections: 1 - beta^step
};

// rate: divided by correction1; scale: 1 / sqrt(correction2).
SW_HD void adam_number(const AdamStep& step, float rate, float scale, float gradient, float& first, float& second,
                       float& value) {
  const float m = step.beta1 * first + (1.0f - step.beta1) * gradient;
  const float v = step.beta2 * second + (1.0f - step.beta2) * gradient * gradient;
  value -= rate * m / (vsqrt(v) * scale + step.epsilon);
  first = m;
  second = v;
}

// Slopes of further terms of the loss: sigmoid(value) and exp(value).
template <class F>
SW_HD F sigmoid_slope(F value) {
  const F activated = 1.0f / (1.0f + vexp(-value));
  return activated * (1.0f - activated);
}

}  // namespace splatworld
