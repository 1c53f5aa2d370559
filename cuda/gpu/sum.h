// Sums that come out the same every time.
#pragma once

#include "gpu/launch.h"

namespace splatworld::gpu {

// Adds up what the threads of a block have, COUNT numbers each: within warps by halving, then over warps. The first COUNT
// threads write them. All threads take part.
template <int THREADS, int COUNT>
__device__ void sum_block(const double (&values)[COUNT], double* out) {
  static_assert(COUNT <= THREADS);
  __shared__ double parts[THREADS / 32][COUNT];
  for (int k = 0; k < COUNT; ++k) {
    double sum = values[k];
    for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, half);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32][k] = sum;
  }
  __syncthreads();
  if (threadIdx.x < COUNT) {
    double sum = 0.0;
    for (int warp = 0; warp < THREADS / 32; ++warp) sum += parts[warp][threadIdx.x];
    out[threadIdx.x] = sum;
  }
  __syncthreads();
}

}  // namespace splatworld::gpu
