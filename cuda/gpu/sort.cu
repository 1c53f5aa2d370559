// All that is CUB's.
#include "gpu/sort.h"

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_select.cuh>
#include <thrust/iterator/counting_iterator.h>

namespace splatworld::gpu {

void sort_pairs(Stream stream, Temporary& temporary, int64_t count, int bits, const uint64_t* keys, uint64_t* keys_out,
                const int32_t* values, int32_t* values_out) {
  check(cub::DeviceRadixSort::SortPairs(temporary.memory, temporary.bytes, keys, keys_out, values, values_out, count, 0,
                                        bits, stream));
}

void sort_pairs(Stream stream, Temporary& temporary, int64_t count, int bits, const uint32_t* keys, uint32_t* keys_out,
                const int32_t* values, int32_t* values_out) {
  check(cub::DeviceRadixSort::SortPairs(temporary.memory, temporary.bytes, keys, keys_out, values, values_out, count, 0,
                                        bits, stream));
}

void select_indices(Stream stream, Temporary& temporary, int64_t count, const int32_t* flags, int32_t* indices,
                    int64_t* selected) {
  check(cub::DeviceSelect::Flagged(temporary.memory, temporary.bytes, thrust::counting_iterator<int32_t>(0), flags,
                                   indices, selected, count, stream));
}

void sum_before(Stream stream, Temporary& temporary, int64_t count, const int64_t* in, int64_t* out) {
  check(cub::DeviceScan::ExclusiveSum(temporary.memory, temporary.bytes, in, out, count, stream));
}

}  // namespace splatworld::gpu
