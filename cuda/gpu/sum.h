// Sums that come out the same every time.
#pragma once

#include "gpu/launch.h"

namespace splatworld::gpu {

// Adds up what the threads of a block have, halving; thread 0 writes it. All threads take part.
template <int THREADS>
__device__ void sum_block(double value, double* out) {
  __shared__ double parts[THREADS];
  parts[threadIdx.x] = value;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) *out = parts[0];
  __syncthreads();
}

}  // namespace splatworld::gpu
