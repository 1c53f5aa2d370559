// sort.cu for the host that plays the device.
#include "gpu/sort.h"

#include <numeric>

namespace splatworld::gpu {
namespace {

template <class Key>
void sort_by(Temporary& temporary, int64_t count, int bits, const Key* keys, Key* keys_out, const int32_t* values,
             int32_t* values_out) {
  if (!temporary.memory) return;
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  const Key mask = bits >= static_cast<int>(8 * sizeof(Key)) ? ~Key{0} : (Key{1} << bits) - 1;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return (keys[a] & mask) < (keys[b] & mask); });
  for (int64_t i = 0; i < count; ++i) {
    keys_out[i] = keys[order[i]];
    values_out[i] = values[order[i]];
  }
}

}  // namespace

void sort_pairs(Stream, Temporary& temporary, int64_t count, int bits, const uint64_t* keys, uint64_t* keys_out,
                const int32_t* values, int32_t* values_out) {
  sort_by(temporary, count, bits, keys, keys_out, values, values_out);
}

void sort_pairs(Stream, Temporary& temporary, int64_t count, int bits, const uint32_t* keys, uint32_t* keys_out,
                const int32_t* values, int32_t* values_out) {
  sort_by(temporary, count, bits, keys, keys_out, values, values_out);
}

void select_indices(Stream, Temporary& temporary, int64_t count, const int32_t* flags, int32_t* indices,
                    int64_t* selected) {
  if (!temporary.memory) return;
  *selected = 0;
  for (int64_t i = 0; i < count; ++i)
    if (flags[i]) indices[(*selected)++] = static_cast<int32_t>(i);
}

void sum_before(Stream, Temporary& temporary, int64_t count, const int64_t* in, int64_t* out) {
  if (!temporary.memory) return;
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t own = in[i];
    out[i] = sum;
    sum += own;
  }
}

}  // namespace splatworld::gpu
