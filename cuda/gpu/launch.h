// How kernels are started: by CUDA, or in tests by a host that plays the device.
#pragma once

#include <stdexcept>

namespace splatworld::gpu {

// CUDA could not start what was asked for, or an earlier kernel went wrong.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace splatworld::gpu

#ifdef SPLATWORLD_HOST_SHIM
#include "host_shim.h"
#else
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace splatworld::gpu {

using Stream = cudaStream_t;

inline void check(cudaError_t error) {
  if (error != cudaSuccess)
    throw DeviceError(std::string("CUDA: ") + cudaGetErrorName(error) + ", " + cudaGetErrorString(error) + ".");
}

#ifdef __CUDACC__
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, Stream stream, Arguments... arguments) {
  if (blocks > 0) kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(arguments...);
  check(cudaGetLastError());
}
#endif

}  // namespace splatworld::gpu
#endif
