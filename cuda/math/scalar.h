// Arithmetic that reads the same for one number (float) and for sixteen (Float16, a compiler vector).
//
// Everything in math/ is templated on F, one of the two. Masks are what F's comparisons give (bool or Int16): combine
// them with & and |, choose with select().
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

#ifdef __CUDACC__
#define SW_HD __host__ __device__ __forceinline__
#else
#define SW_HD inline __attribute__((always_inline))
#endif

namespace splatworld {

SW_HD float select(bool mask, float a, float b) { return mask ? a : b; }
SW_HD float vsqrt(float a) { return std::sqrt(a); }
SW_HD float vexp2(float a) { return std::exp2(a); }
SW_HD float vlog2(float a) { return std::log2(a); }
SW_HD bool mask_not(bool mask) { return !mask; }
SW_HD bool any(bool mask) { return mask; }

#ifndef __CUDACC__

constexpr int LANES = 16;
typedef float Float16 __attribute__((vector_size(64)));
typedef int32_t Int16 __attribute__((vector_size(64)));

SW_HD Float16 broadcast(float a) { return a - Float16{}; }
SW_HD Float16 select(Int16 mask, Float16 a, Float16 b) { return mask ? a : b; }
SW_HD Int16 select(Int16 mask, Int16 a, Int16 b) { return mask ? a : b; }
SW_HD Int16 mask_not(Int16 mask) { return ~mask; }

SW_HD Float16 vsqrt(Float16 a) {
  Float16 root;
  for (int i = 0; i < LANES; ++i) root[i] = std::sqrt(a[i]);
  return root;
}

// Whether any lane of a mask is set: the one thing for which vector extensions have no good word.
SW_HD bool any(Int16 mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
  __m256i half[2];
  std::memcpy(half, &mask, sizeof half);
  __m256i both = (__m256i)((__v4du)half[0] | (__v4du)half[1]);
  return !_mm256_testz_si256(both, both);
#else
  int64_t word[8];
  std::memcpy(word, &mask, sizeof word);
  return ((word[0] | word[1]) | (word[2] | word[3])) | ((word[4] | word[5]) | (word[6] | word[7]));
#endif
}

SW_HD float sum(Float16 a) {
  typedef float Float8 __attribute__((vector_size(32)));
  typedef float Float4 __attribute__((vector_size(16)));
  Float8 low8, high8;
  std::memcpy(&low8, &a, 32);
  std::memcpy(&high8, (const char*)&a + 32, 32);
  low8 += high8;
  Float4 low4, high4;
  std::memcpy(&low4, &low8, 16);
  std::memcpy(&high4, (const char*)&low8 + 16, 16);
  low4 += high4;
  return (low4[0] + low4[2]) + (low4[1] + low4[3]);
}

SW_HD Float16 load16(const float* source) {
  Float16 value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

SW_HD void store16(float* target, Float16 value) { std::memcpy(target, &value, sizeof value); }

// 2^a to 2e-7 relative: round to the nearest integer, polynomial on [-1/2, 1/2], exponent bits. Results below 2^-126
// flush to 2^-126, above 2^127 to 2^127; NaN gives an arbitrary finite number, so callers test their inputs.
SW_HD Float16 vexp2(Float16 a) {
  a = select(a > broadcast(-126.0f), a, broadcast(-126.0f));
  a = select(a < broadcast(127.0f), a, broadcast(127.0f));
  const float shift = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
  Float16 shifted = a + shift;
  Int16 whole = (Int16)shifted - (Int16)broadcast(shift);
  Float16 part = a - (shifted - shift);
  Float16 result = broadcast(1.535336188319500e-4f);
  result = result * part + 1.339887440266574e-3f;
  result = result * part + 9.618437357674640e-3f;
  result = result * part + 5.550332471162809e-2f;
  result = result * part + 2.402264791363012e-1f;
  result = result * part + 6.931472028550421e-1f;
  result = result * part + 1.0f;
  return (Float16)((Int16)result + (whole << 23));
}

// log2(a) for positive normal a, to 2e-7 absolute: exponent bits plus the atanh series of the mantissa.
SW_HD Float16 vlog2(Float16 a) {
  Int16 bits = (Int16)a - 0x3f3504f3;  // centre the mantissa on [sqrt(1/2), sqrt(2))
  Int16 exponent = bits >> 23;
  Float16 mantissa = (Float16)((bits & 0x007fffff) + 0x3f3504f3);
  Float16 s = (mantissa - 1.0f) / (mantissa + 1.0f);
  Float16 s2 = s * s;
  Float16 series = ((s2 * (1.0f / 9) + 1.0f / 7) * s2 + 1.0f / 5) * s2 + 1.0f / 3;
  return __builtin_convertvector(exponent, Float16) + (series * s2 + 1.0f) * s * 2.885390081777927f;
}

#endif

template <class F>
SW_HD F vexp(F a) {
  return vexp2(a * 1.4426950408889634f);
}

template <class F>
SW_HD F vmin(F a, F b) {
  return select(a < b, a, b);
}

template <class F>
SW_HD F vmax(F a, F b) {
  return select(a > b, a, b);
}

// True where a is neither NaN nor infinite.
template <class F>
SW_HD auto is_finite(F a) {
  return (a - a) == (a - a);
}

}  // namespace splatworld
