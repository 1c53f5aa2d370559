// Rows of an array as vectors: column k of LANES rows in one. They are read and written four columns at a time and
// transposed in registers; gathering would cost a load and an insertion a number.
#pragma once

#include <cstring>
#include <utility>

#include "math/scalar.h"

namespace splatworld {

// Four numbers from each of LANES / 4 places, side by side.
SW_HD FloatV join_fours(const float* const* from) {
#if defined(__AVX512F__)
  __m512 joined = _mm512_castps128_ps512(_mm_loadu_ps(from[0]));
  joined = _mm512_mask_broadcast_f32x4(joined, 0x00f0, _mm_loadu_ps(from[4]));
  joined = _mm512_mask_broadcast_f32x4(joined, 0x0f00, _mm_loadu_ps(from[8]));
  return (FloatV)_mm512_mask_broadcast_f32x4(joined, 0xf000, _mm_loadu_ps(from[12]));
#elif defined(__AVX2__)
  return (FloatV)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from[0])), _mm_loadu_ps(from[4]), 1);
#else
  FloatV joined;
  std::memcpy(&joined, from[0], sizeof joined);
  return joined;
#endif
}

// In every four lanes, four of the eight numbers that a and b hold there: 0 to 3 are a's, 4 to 7 are b's.
template <int... WHICH>
struct Mix {
  static constexpr int pattern[4] = {WHICH...};
  static constexpr int from(int lane) {
    int which = pattern[lane % 4];
    return lane / 4 * 4 + which % 4 + which / 4 * LANES;
  }
  template <size_t... LANE>
  SW_HD static FloatV of(FloatV a, FloatV b, std::index_sequence<LANE...>) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, from(LANE)...);
#else
    return __builtin_shuffle(a, b, IntV{from(LANE)...});
#endif
  }
  SW_HD static FloatV of(FloatV a, FloatV b) { return of(a, b, std::make_index_sequence<LANES>()); }
};

// Transposes the 4x4 numbers that four vectors hold in each four lanes.
SW_HD void transpose_fours(FloatV v[4]) {
  FloatV low01 = Mix<0, 4, 1, 5>::of(v[0], v[1]), high01 = Mix<2, 6, 3, 7>::of(v[0], v[1]);
  FloatV low23 = Mix<0, 4, 1, 5>::of(v[2], v[3]), high23 = Mix<2, 6, 3, 7>::of(v[2], v[3]);
  v[0] = Mix<0, 1, 4, 5>::of(low01, low23);
  v[1] = Mix<2, 3, 6, 7>::of(low01, low23);
  v[2] = Mix<0, 1, 4, 5>::of(high01, high23);
  v[3] = Mix<2, 3, 6, 7>::of(high01, high23);
}

// LANES rows of arrays that have `total`. Lanes past `valid` repeat the last one and are never written.
struct Rows {
  int64_t index[LANES];
  int valid;
  bool last;  // whether the arrays' last row is among them, behind which nothing may be read

  // Rows from `start` on.
  Rows(int64_t start, int valid, int64_t total) : valid(valid), last(start + valid == total) {
    for (int i = 0; i < LANES; ++i) index[i] = start + (i < valid ? i : valid - 1);
  }

  // The rows of these numbers.
  Rows(const int32_t* numbers, int valid, int64_t total) : valid(valid), last(false) {
    for (int i = 0; i < LANES; ++i) {
      index[i] = numbers[i < valid ? i : valid - 1];
      last |= index[i] + 1 == total;
    }
  }

  FloatV gather(const float* base, int64_t stride) const {
    FloatV column;
    for (int i = 0; i < LANES; ++i) column[i] = base[index[i] * stride];
    return column;
  }

  // The first `count` columns of an array with rows of `stride`; `columns` has room for a multiple of four.
  SW_HD void load(const float* base, int64_t stride, int count, FloatV* columns) const {
    const float* rows[LANES];
    for (int i = 0; i < LANES; ++i) rows[i] = base + index[i] * stride;
    for (int first = 0; first < count; first += 4) {
      FloatV* four = columns + first;
      if (last && first + 4 > stride) {
        for (int k = first; k < count; ++k) columns[k] = gather(base + k, stride);
        return;
      }
      for (int j = 0; j < 4; ++j) four[j] = join_fours(rows + j);
      transpose_fours(four);
      for (int i = 0; i < LANES; ++i) rows[i] += 4;
    }
  }

  // Calls write(target, row, length) for at most four numbers of each row at a time. Spoils `columns`.
  template <class Write>
  SW_HD void unload(float* base, int64_t stride, int count, FloatV* columns, uint32_t lanes, Write&& write) const {
    for (int first = 0; first < count; first += 4) {
      transpose_fours(columns + first);
      float rows[4][LANES];
      std::memcpy(rows, columns + first, sizeof rows);
      for (uint32_t todo = lanes; todo; todo &= todo - 1) {
        int i = __builtin_ctz(todo);
        write(base + index[i] * stride + first, rows[i % 4] + i / 4 * 4, count - first);
      }
    }
  }

  // A bit for every lane in use.
  uint32_t lanes() const { return (1u << valid) - 1; }
};

}  // namespace splatworld
