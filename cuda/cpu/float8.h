// Four and eight floats side by side.
#pragma once

#include <cstring>

namespace splatworld {

typedef float Float4 __attribute__((vector_size(16)));
typedef float Float8 __attribute__((vector_size(32)));

inline float sum(Float8 a) {
  Float4 half[2];
  std::memcpy(half, &a, sizeof a);
  half[0] += half[1];
  return (half[0][0] + half[0][2]) + (half[0][1] + half[0][3]);
}

}  // namespace splatworld
