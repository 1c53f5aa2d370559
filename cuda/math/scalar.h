// Arithmetic that reads the same for one number (float) and for several side by side (FloatV, a compiler vector).
//
// Everything in math/ is templated on F, one of the two. Masks are what F's comparisons give (bool or IntV): combine
// them with & and |, choose with select().
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__SSE2__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

#ifdef __CUDACC__
#define SW_HD __host__ __device__ __forceinline__
#else
#define SW_HD inline __attribute__((always_inline))
#endif

namespace splatworld {

SW_HD float select(bool mask, float a, float b) { return mask ? a : b; }
SW_HD int32_t select(bool mask, int32_t a, int32_t b) { return mask ? a : b; }
SW_HD float vsqrt(float a) { return std::sqrt(a); }
SW_HD float vexp2(float a) { return std::exp2(a); }
SW_HD float vlog2(float a) { return std::log2(a); }
SW_HD bool mask_not(bool mask) { return !mask; }
SW_HD bool any(bool mask) { return mask; }
SW_HD double widen(float a) { return a; }
SW_HD float narrow(double a) { return static_cast<float>(a); }

#ifndef __CUDACC__

// As many lanes as the instruction set computes at once; wider vectors are split badly by compilers.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float FloatV __attribute__((vector_size(4 * LANES)));
typedef int32_t IntV __attribute__((vector_size(4 * LANES)));
typedef double DoubleV __attribute__((vector_size(8 * LANES)));

SW_HD DoubleV widen(FloatV a) { return __builtin_convertvector(a, DoubleV); }
SW_HD FloatV narrow(DoubleV a) { return __builtin_convertvector(a, FloatV); }
SW_HD FloatV broadcast(float a) { return a - FloatV{}; }
SW_HD FloatV select(IntV mask, FloatV a, FloatV b) { return mask ? a : b; }
SW_HD IntV select(IntV mask, IntV a, IntV b) { return mask ? a : b; }
SW_HD IntV mask_not(IntV mask) { return ~mask; }

SW_HD FloatV vsqrt(FloatV a) {
  FloatV root;
  for (int i = 0; i < LANES; ++i) root[i] = std::sqrt(a[i]);
  return root;
}

// One bit a lane: the one thing for which vector extensions have no word.
SW_HD uint32_t bits(IntV mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)mask));
#else
  uint32_t set = 0;
  for (int i = 0; i < LANES; ++i) set |= static_cast<uint32_t>(mask[i] & 1) << i;
  return set;
#endif
}

SW_HD bool any(IntV mask) { return bits(mask) != 0; }

// What the blending kernels compare with: AVX-512 has registers for masks, and compilers do not keep the masks of
// vector extensions in them.
#if defined(__AVX512F__)
typedef __mmask16 MaskV;
SW_HD MaskV at_least(FloatV a, FloatV b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ); }
SW_HD MaskV above(FloatV a, FloatV b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
SW_HD FloatV keep(MaskV mask, FloatV a) { return (FloatV)_mm512_maskz_mov_ps(mask, (__m512)a); }
SW_HD FloatV least(FloatV a, FloatV b) { return (FloatV)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b); }
SW_HD FloatV most(FloatV a, FloatV b) { return (FloatV)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
SW_HD FloatV select(MaskV mask, FloatV a, FloatV b) {
  return (FloatV)_mm512_mask_mov_ps((__m512)b, mask, (__m512)a);
}
SW_HD IntV select(MaskV mask, IntV a, IntV b) {
  return (IntV)_mm512_mask_mov_epi32((__m512i)b, mask, (__m512i)a);
}
SW_HD uint32_t bits(MaskV mask) { return mask; }
SW_HD bool any(MaskV mask) { return mask != 0; }
#else
typedef IntV MaskV;
SW_HD MaskV at_least(FloatV a, FloatV b) { return a >= b; }
SW_HD MaskV above(FloatV a, FloatV b) { return a > b; }
SW_HD FloatV keep(MaskV mask, FloatV a) { return (FloatV)((IntV)a & mask); }
SW_HD FloatV least(FloatV a, FloatV b) { return a < b ? a : b; }
SW_HD FloatV most(FloatV a, FloatV b) { return a > b ? a : b; }
#endif

// Sum of the lanes, halving; the same order whatever the instruction set.
SW_HD float sum(FloatV a) {
  typedef float Float4 __attribute__((vector_size(16)));
  Float4 quarter[LANES / 4];
  std::memcpy(quarter, &a, sizeof a);
  for (int width = LANES / 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) quarter[i] += quarter[i + width];
  return (quarter[0][0] + quarter[0][2]) + (quarter[0][1] + quarter[0][3]);
}

// The greatest of the lanes.
SW_HD float maximum(FloatV a) {
  typedef float Float4 __attribute__((vector_size(16)));
  Float4 quarter[LANES / 4];
  std::memcpy(quarter, &a, sizeof a);
  for (int width = LANES / 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) quarter[i] = quarter[i] > quarter[i + width] ? quarter[i] : quarter[i + width];
  const float even = quarter[0][0] > quarter[0][2] ? quarter[0][0] : quarter[0][2];
  const float odd = quarter[0][1] > quarter[0][3] ? quarter[0][1] : quarter[0][3];
  return even > odd ? even : odd;
}

// 1 / a for a from 1e-30 to 1e30, to 3e-7 relative.
SW_HD FloatV reciprocal(FloatV a) {
#if defined(__AVX512F__)
  FloatV near = (FloatV)_mm512_maskz_rcp14_ps(0xffff, (__m512)a);
#elif defined(__AVX2__)
  FloatV near = (FloatV)_mm256_rcp_ps((__m256)a);
#elif defined(__SSE2__)
  FloatV near = (FloatV)_mm_rcp_ps((__m128)a);
#else
  return 1.0f / a;
#endif
#if defined(__SSE2__)
  return near + near * (1.0f - a * near);  // one step of Newton's
#endif
}

// Of two vectors, each with a sum for every UNIT lanes spread over units: both vectors' sums over half as many units.
template <int UNIT, int... LANE>
SW_HD FloatV fold(FloatV a, FloatV b, std::integer_sequence<int, LANE...>) {
  return __builtin_shufflevector(a, b, (LANE / UNIT * 2 * UNIT + LANE % UNIT)...) +
         __builtin_shufflevector(a, b, (LANE / UNIT * 2 * UNIT + UNIT + LANE % UNIT)...);
}

// Lane i holds the sum of the lanes of vector i, where there are COUNT; what remains of WIDTH to be folded is not 0.
template <int COUNT, int WIDTH = LANES>
SW_HD FloatV fold_all(const FloatV* vectors) {
  if constexpr (COUNT <= 0)
    return FloatV{};
  else if constexpr (WIDTH == 1)
    return vectors[0];
  else
    return fold<LANES / WIDTH>(fold_all<COUNT, WIDTH / 2>(vectors),
                               fold_all<COUNT - WIDTH / 2, WIDTH / 2>(vectors + WIDTH / 2),
                               std::make_integer_sequence<int, LANES>{});
}

// The sums of the lanes of COUNT vectors, all at once: a third of the operations that one after another takes.
template <int COUNT>
SW_HD void sum_lanes(const FloatV* vectors, float* out) {
  FloatV sums = fold_all<COUNT>(vectors);
  std::memcpy(out, &sums, sizeof(float) * (COUNT < LANES ? COUNT : LANES));
  if constexpr (COUNT > LANES) sum_lanes<COUNT - LANES>(vectors + LANES, out + LANES);
}

// 2^a for a <= 127, to 1e-7 relative: nearest integer, polynomial on [-1/2, 1/2], exponent bits. Below 2^-126 it may
// flush, to 0 or to 2^-126.
SW_HD FloatV vexp2_unchecked(FloatV a) {
#if defined(__AVX512F__)
  FloatV whole = (FloatV)_mm512_maskz_roundscale_ps(0xffff, (__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  a = select(a > broadcast(-126.0f), a, broadcast(-126.0f));
  const float shift = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
  FloatV shifted = a + shift, whole = shifted - shift;
#endif
  FloatV part = a - whole;
  FloatV result = broadcast(1.327647151933759e-03f);
  result = result * part + 9.675541330672154e-03f;
  result = result * part + 5.550713274961570e-02f;
  result = result * part + 2.402211972393414e-01f;
  result = result * part + 6.931469670638644e-01f;
  result = result * part + 1.000000071654655e+00f;
#if defined(__AVX512F__)
  return (FloatV)_mm512_maskz_scalef_ps(0xffff, (__m512)result, (__m512)whole);
#else
  return (FloatV)((IntV)result + ((IntV)shifted << 23));  // the shift's own bits fall off at the top
#endif
}

// 2^a; results above 2^127 stay there. NaN gives an arbitrary finite number, so callers test their inputs.
SW_HD FloatV vexp2(FloatV a) {
  a = select(a < broadcast(127.0f), a, broadcast(127.0f));
  return vexp2_unchecked(a);
}

// log2(a) for positive normal a, to 2e-7 absolute: exponent bits plus the atanh series of the mantissa.
SW_HD FloatV vlog2(FloatV a) {
  IntV offset = (IntV)a - 0x3f3504f3;  // centre the mantissa on [sqrt(1/2), sqrt(2))
  IntV exponent = offset >> 23;
  FloatV mantissa = (FloatV)((offset & 0x007fffff) + 0x3f3504f3);
  FloatV s = (mantissa - 1.0f) / (mantissa + 1.0f);
  FloatV s2 = s * s;
  FloatV series = ((s2 * (1.0f / 9) + 1.0f / 7) * s2 + 1.0f / 5) * s2 + 1.0f / 3;
  return __builtin_convertvector(exponent, FloatV) + (series * s2 + 1.0f) * s * 2.885390081777927f;
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
