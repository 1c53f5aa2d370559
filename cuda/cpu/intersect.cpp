// Two stages: the seen splats are sorted by depth once, then their (tile, splat) pairs are counted into tiles, which
// keeps that order (Faster-GS, 2025).
#include <algorithm>
#include <cstring>

#include "cpu/threads.h"
#include "cpu/tiles.h"

namespace splatworld {

int64_t sort_by_depth(int64_t count, const Record* records, const int32_t* counts, int32_t* order, uint32_t* scratch) {
  // Positive floats order like their bits. Three stable passes of 11 bits.
  uint32_t* keys = scratch;
  int32_t* other = reinterpret_cast<int32_t*>(scratch + count);
  int64_t seen = 0;
  for (int64_t n = 0; n < count; ++n) {
    if (!counts[n]) continue;
    std::memcpy(&keys[n], &records[n].depth, sizeof(uint32_t));
    order[seen++] = static_cast<int32_t>(n);
  }
  int32_t *from = order, *to = other;
  for (int shift = 0; shift < 33; shift += 11) {
    int64_t start[2048] = {};
    auto digit = [&](int32_t n) { return (keys[n] >> shift) & 2047u; };
    for (int64_t i = 0; i < seen; ++i) ++start[digit(from[i])];
    int64_t total = 0;
    for (int64_t& s : start) {
      int64_t size = s;
      s = total;
      total += size;
    }
    for (int64_t i = 0; i < seen; ++i) to[start[digit(from[i])]++] = from[i];
    std::swap(from, to);
  }
  if (from != order) std::memcpy(order, from, seen * sizeof(int32_t));
  return seen;
}

int64_t place_pairs(int64_t seen, const int32_t* order, const int32_t* counts, int64_t* first_pair) {
  int64_t total = 0;
  for (int64_t i = 0; i < seen; ++i) {
    first_pair[order[i]] = total;
    total += counts[order[i]];
  }
  return total;
}

void list_tiles(int64_t seen, int64_t pairs, const int32_t* order, const int64_t* first_pair, const Record* records,
                const View& view, int32_t* pair_tile, int32_t* pair_splat, int32_t* pair_slot, int64_t* tile_start) {
  constexpr int64_t chunk_size = 512;
  const int tiles_x = view.tiles_x();
  const int64_t tiles = static_cast<int64_t>(tiles_x) * view.tiles_y();
  parallel_for((seen + chunk_size - 1) / chunk_size, [&](long chunk) {
    int64_t end = std::min<int64_t>(seen, (chunk + 1) * chunk_size);
    for (int64_t i = chunk * chunk_size; i < end; ++i) {
      const Record& record = records[order[i]];
      int64_t slot = first_pair[order[i]];
      Extent extent = tile_extent(record, view);
      for (int row = extent.rows.first; row <= extent.rows.last; ++row) {
        TileSpan columns = tile_columns(record, extent, view, row);
        for (int column = columns.first; column <= columns.last; ++column) pair_tile[slot++] = row * tiles_x + column;
      }
    }
  });
  std::fill(tile_start, tile_start + tiles + 1, int64_t{0});
  for (int64_t slot = 0; slot < pairs; ++slot) ++tile_start[pair_tile[slot] + 1];
  for (int64_t tile = 0; tile < tiles; ++tile) tile_start[tile + 1] += tile_start[tile];
  // tile_start doubles as the write cursor and is shifted back afterwards.
  for (int64_t i = 0; i < seen; ++i) {
    int64_t begin = first_pair[order[i]], end = i + 1 < seen ? first_pair[order[i + 1]] : pairs;
    for (int64_t slot = begin; slot < end; ++slot) {
      int64_t place = tile_start[pair_tile[slot]]++;
      pair_splat[place] = order[i];
      pair_slot[place] = static_cast<int32_t>(slot);
    }
  }
  for (int64_t tile = tiles; tile > 0; --tile) tile_start[tile] = tile_start[tile - 1];
  tile_start[0] = 0;
}

}  // namespace splatworld
