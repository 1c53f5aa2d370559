// LANES numbers of an array at a time; the last may be fewer.
#pragma once

#include "math/scalar.h"

namespace splatworld {

inline FloatV load(const float* from, int count) {
  FloatV value{};
  std::memcpy(&value, from, count * sizeof(float));
  return value;
}

inline void store(FloatV value, float* to, int count) { std::memcpy(to, &value, count * sizeof(float)); }

// Calls use(i, lanes) for every LANES of `count` numbers. Written out where a sum runs along, which compilers must not
// reorder and so leave one number at a time.
template <class Use>
void for_lanes(int count, Use&& use) {
  int i = 0;
  for (; i + LANES <= count; i += LANES) use(i, LANES);
  if (i < count) use(i, count - i);
}

}  // namespace splatworld
