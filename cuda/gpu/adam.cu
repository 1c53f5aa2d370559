// One thread a number; see cpu/adam.cpp.
#include "gpu/passes.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 256;

__global__ void adam_kernel(int64_t count, int width, const int32_t* visible, AdamStep step, AdamCosts costs,
                            const float* rates, float* gradient, float* first, float* second, float* value) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / width;
  if (visible && !visible[row]) return;
  float g = gradient[i];
  if (costs.sigmoid != 0.0f) g += costs.sigmoid * sigmoid_slope(value[i]);
  if (costs.exponential != 0.0f) g += costs.exponential * vexp(value[i]);
  adam_number(step, rates[i % width] / step.correction1, 1.0f / vsqrt(step.correction2), g, first[i], second[i],
              value[i]);
  gradient[i] = 0.0f;
}

}  // namespace

void adam(Stream stream, int64_t rows, int width, const int32_t* visible, const AdamStep& step, const AdamCosts& costs,
          const float* rates, float* gradient, float* first, float* second, float* value) {
  const int64_t count = rows * width;
  launch(adam_kernel, (count + THREADS - 1) / THREADS, THREADS, stream, count, width, visible, step, costs, rates,
         gradient, first, second, value);
}

}  // namespace splatworld::gpu
