// The sorts and scans of sort.cu; every size is that of the buffers, whatever of them is used.
#pragma once

#include "gpu/launch.h"

#include <cstddef>
#include <cstdint>

namespace splatworld::gpu {

struct Temporary {
  void* memory;  // null: nothing is done but to set `bytes` to what is wanted
  size_t bytes;
};

// Stable, by the lowest `bits` of the keys.
void sort_pairs(Stream stream, Temporary& temporary, int64_t count, int bits, const uint64_t* keys, uint64_t* keys_out,
                const int32_t* values, int32_t* values_out);
void sort_pairs(Stream stream, Temporary& temporary, int64_t count, int bits, const uint32_t* keys, uint32_t* keys_out,
                const int32_t* values, int32_t* values_out);
// Indices whose flag is not 0, in their order, and how many; all must fit.
void select_indices(Stream stream, Temporary& temporary, int64_t count, const int32_t* flags, int32_t* indices,
                    int64_t* selected);
// out[i] = in[0] + ... + in[i - 1]
void sum_before(Stream stream, Temporary& temporary, int64_t count, const int64_t* in, int64_t* out);

}  // namespace splatworld::gpu
