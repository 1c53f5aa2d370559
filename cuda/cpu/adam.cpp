// Adam (Kingma & Ba, 2015), one fused pass; rows that were not seen keep value and moments.
#include <algorithm>
#include <cmath>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {

void adam(int64_t rows, int width, const int32_t* visible, const AdamStep& step, const float* gradient, float* first,
          float* second, float* value) {
  constexpr int64_t chunk_rows = 2048;
  const float rate = step.rate / step.correction1, scale = 1.0f / std::sqrt(step.correction2);
  parallel_for((rows + chunk_rows - 1) / chunk_rows, [&](long chunk) {
    int64_t end = std::min(rows, (chunk + 1) * chunk_rows);
    auto update = [&](int64_t begin, int64_t stop) {
      for (int64_t i = begin; i < stop; ++i) {
        float g = gradient[i];
        first[i] = step.beta1 * first[i] + (1.0f - step.beta1) * g;
        second[i] = step.beta2 * second[i] + (1.0f - step.beta2) * g * g;
        value[i] -= rate * first[i] / (std::sqrt(second[i]) * scale + step.epsilon);
      }
    };
    if (!visible) return update(chunk * chunk_rows * width, end * width);
    for (int64_t row = chunk * chunk_rows; row < end; ++row)
      if (visible[row]) update(row * width, (row + 1) * width);
  });
}

}  // namespace splatworld
