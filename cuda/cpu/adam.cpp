// Adam (Kingma & Ba, 2015) in one pass over memory: the costs' slope joins the gradient, the step is taken, and the
// gradient is left at zero for the next one. Rows that were not seen keep value, moments and their (zero) gradient.
#include <algorithm>
#include <cmath>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

constexpr int64_t CHUNK = 2048;  // rows a task

// Adds slope(value) to the gradient.
template <class Slope>
void add_cost(int count, const float* value, float* gradient, Slope&& slope) {
  for_lanes(count, [&](int i, int lanes) {
    store(load(gradient + i, lanes) + slope(load(value + i, lanes)), gradient + i, lanes);
  });
}

void add_costs(int count, const AdamCosts& costs, const float* value, float* gradient) {
  if (costs.sigmoid != 0.0f)
    add_cost(count, value, gradient, [&](FloatV v) { return costs.sigmoid * sigmoid_slope(v); });
  if (costs.exponential != 0.0f)
    add_cost(count, value, gradient, [&](FloatV v) { return costs.exponential * vexp(v); });
}

void update(int count, const AdamStep& step, const float* __restrict rates, float* __restrict gradient,
            float* __restrict first, float* __restrict second, float* __restrict value) {
  const float scale = 1.0f / std::sqrt(step.correction2);
  for (int i = 0; i < count; ++i) {
    adam_number(step, rates[i], scale, gradient[i], first[i], second[i], value[i]);
    gradient[i] = 0.0f;
  }
}

}  // namespace

void adam(int64_t rows, int width, const int32_t* visible, const AdamStep& step, const AdamCosts& costs,
          const float* rates, float* gradient, float* first, float* second, float* value) {
  const int64_t most = ADAM_COLUMNS / width;  // rows at once
  parallel_for((rows + CHUNK - 1) / CHUNK, [&](long chunk) {
    float repeated[ADAM_COLUMNS];  // each number's own rate, row after row
    for (int64_t i = 0; i < most * width; ++i) repeated[i] = rates[i % width] / step.correction1;
    const int64_t end = std::min(rows, (chunk + 1) * CHUNK);
    for (int64_t row = chunk * CHUNK; row < end;) {
      int64_t stop = row;
      while (stop < end && stop - row < most && (!visible || visible[stop])) ++stop;
      const int64_t from = row * width;
      const int count = static_cast<int>(stop - row) * width;
      add_costs(count, costs, value + from, gradient + from);
      update(count, step, repeated, gradient + from, first + from, second + from, value + from);
      row = stop;
      while (visible && row < end && !visible[row]) ++row;
    }
  });
}

}  // namespace splatworld
