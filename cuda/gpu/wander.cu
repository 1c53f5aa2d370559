// One thread a splat; see math/wander.h.
#include "gpu/passes.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 256;

__global__ void wander_kernel(int64_t count, const float* opacity_logits, const float* log_scales, const float* quats,
                              Walk walk, float* means) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (n < count) wander_splat(n, opacity_logits, log_scales, quats, walk, means);
}

}  // namespace

void wander(Stream stream, int64_t count, const float* opacity_logits, const float* log_scales, const float* quats,
            const Walk& walk, float* means) {
  launch(wander_kernel, (count + THREADS - 1) / THREADS, THREADS, stream, count, opacity_logits, log_scales, quats, walk,
         means);
}

}  // namespace splatworld::gpu
