#include <algorithm>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {

constexpr int64_t CHUNK = 2048;  // splats a task

void wander(int64_t count, const float* opacity_logits, const float* log_scales, const float* quats, const Walk& walk,
            float* means) {
  parallel_for((count + CHUNK - 1) / CHUNK, [&](long chunk) {
    const int64_t end = std::min(count, (chunk + 1) * CHUNK);
    for (int64_t n = chunk * CHUNK; n < end; ++n) wander_splat(n, opacity_logits, log_scales, quats, walk, means);
  });
}

}  // namespace splatworld
