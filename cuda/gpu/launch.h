// How kernels are started: by CUDA, or in tests by a host that plays the device.
#pragma once

#ifdef SPLATWORLD_HOST_SHIM
#include "host_shim.h"
#else
#include <cuda_runtime.h>

namespace splatworld::gpu {

using Stream = cudaStream_t;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, Stream stream, Arguments... arguments) {
  if (blocks > 0) kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(arguments...);
}

}  // namespace splatworld::gpu
#endif
