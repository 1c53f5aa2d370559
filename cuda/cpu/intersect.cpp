// Two stages: the seen splats are sorted by depth once, then their (tile, splat) pairs are counted into tiles, which
// keeps that order (Faster-GS, 2025).
#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "cpu/rows.h"
#include "cpu/threads.h"
#include "cpu/tiles.h"

namespace splatworld {
namespace {

constexpr int DIGIT_BITS = 11, DIGITS = 3, RADIX = 1 << DIGIT_BITS;

// A splat and its depth, whose bits order like the number because it is positive.
struct Key {
  uint32_t depth;
  int32_t splat;
  uint32_t digit(int place) const { return depth >> place * DIGIT_BITS & (RADIX - 1); }
};

// A (tile, splat) pair and its number.
struct Pair {
  int32_t tile, splat, slot;
};

// The pairs of up to LANES splats, which `pairs` holds one splat after the other, counted into tiles. Returns their end.
Pair* find_pairs(const Rows& rows, const int32_t* counts, const int64_t* first_pair, const Record* records,
                 const View& view, Pair* pairs, int32_t* tile_counts) {
  const int tiles_x = view.tiles_x();
  FloatV v[8];
  rows.load(reinterpret_cast<const float*>(records), RECORD_FLOATS, 8, v);
  Pair *next[LANES], *end = pairs;
  int32_t slot[LANES];
  IntV wanted{};
  for (int i = 0; i < rows.valid; ++i) {
    next[i] = end;
    end += counts[rows.index[i]];
    slot[i] = static_cast<int32_t>(first_pair[rows.index[i]]);
    wanted[i] = -1;
  }
  for_tile_rows({v[0], v[1], v[2], v[3], v[4], v[5]}, wanted, view, [&](IntV row, const TileSpans& columns) {
    int32_t first[LANES], last[LANES];
    IntV left = row * tiles_x + columns.first, right = row * tiles_x + columns.last;
    std::memcpy(first, &left, sizeof first);
    std::memcpy(last, &right, sizeof last);
    for (uint32_t todo = bits(left <= right); todo; todo &= todo - 1) {
      int i = __builtin_ctz(todo);
      for (int32_t tile = first[i]; tile <= last[i]; ++tile) {
        *next[i]++ = {tile, static_cast<int32_t>(rows.index[i]), slot[i]++};
        ++tile_counts[tile];
      }
    }
  });
  return end;
}

}  // namespace

// Keys are carried along: fetched by index, they would come from all over the memory in every pass.
int64_t sort_by_depth(int64_t count, const Record* records, const int32_t* counts, int32_t* order, int32_t* scratch) {
  Key *from = reinterpret_cast<Key*>(scratch), *to = from + count;
  uint32_t start[DIGITS][RADIX] = {};
  int64_t seen = 0;
  for (int64_t n = 0; n < count; ++n) {
    if (!counts[n]) continue;
    Key& key = from[seen++];
    std::memcpy(&key.depth, &records[n].depth, sizeof key.depth);
    key.splat = static_cast<int32_t>(n);
    for (int place = 0; place < DIGITS; ++place) ++start[place][key.digit(place)];
  }
  for (int place = 0; place < DIGITS; ++place) {
    uint32_t total = 0;
    for (uint32_t& s : start[place]) total += std::exchange(s, total);
    if (place == DIGITS - 1)
      for (int64_t i = 0; i < seen; ++i) order[start[place][from[i].digit(place)]++] = from[i].splat;
    else
      for (int64_t i = 0; i < seen; ++i) to[start[place][from[i].digit(place)]++] = from[i];
    std::swap(from, to);
  }
  return seen;
}

int64_t number_pairs(int64_t count, const int32_t* counts, int64_t* first_pair) {
  int64_t total = 0;
  for (int64_t n = 0; n < count; ++n) {
    first_pair[n] = total;
    total += counts[n];
  }
  return total;
}

void list_tiles(int64_t count, int64_t seen, int64_t pairs, const int32_t* order, const int32_t* counts,
                const int64_t* first_pair, const Record* records, const View& view, int parts, int32_t* scratch,
                int32_t* pair_splat, int32_t* pair_slot, int64_t* tile_start) {
  const int64_t tiles = static_cast<int64_t>(view.tiles_x()) * view.tiles_y();
  Pair* listed = reinterpret_cast<Pair*>(scratch);
  int32_t* part_tiles = scratch + 3 * pairs;
  auto first = [&](long part) { return seen * part / parts; };
  auto first_listed = [&](long part) {
    auto add = [&](int64_t sum, int32_t splat) { return sum + counts[splat]; };
    return part == parts ? pairs : std::accumulate(order, order + first(part), int64_t{0}, add);
  };
  // Each part of the order finds its pairs, counts them in every tile, and then knows where they belong.
  parallel_for(parts, [&](long part) {
    int32_t* tile_counts = part_tiles + part * tiles;
    std::fill(tile_counts, tile_counts + tiles, 0);
    Pair* next = listed + first_listed(part);
    for (int64_t i = first(part); i < first(part + 1); i += LANES) {
      const Rows rows(order + i, static_cast<int>(std::min<int64_t>(LANES, first(part + 1) - i)), count);
      next = find_pairs(rows, counts, first_pair, records, view, next, tile_counts);
    }
  });
  int32_t total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    tile_start[tile] = total;
    for (int part = 0; part < parts; ++part) total += std::exchange(part_tiles[part * tiles + tile], total);
  }
  tile_start[tiles] = pairs;
  parallel_for(parts, [&](long part) {
    int32_t* places = part_tiles + part * tiles;
    const Pair* end = listed + first_listed(part + 1);
    for (const Pair* pair = listed + first_listed(part); pair < end; ++pair) {
      int32_t place = places[pair->tile]++;
      pair_splat[place] = pair->splat;
      pair_slot[place] = pair->slot;
    }
  });
}

}  // namespace splatworld
