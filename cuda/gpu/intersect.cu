// Two stages: the seen splats of all views are sorted by view and depth once, then their (tile, splat) pairs by tile with
// a stable sort, which keeps that order (Faster-GS, 2025).
#include "gpu/passes.h"
#include "gpu/sort.h"
#include "gpu/tiles.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 256;

int64_t blocks(int64_t count) { return (count + THREADS - 1) / THREADS; }

// Bits of which numbers up to `greatest` consist.
int bits_of(uint64_t greatest) {
  int bits = 0;
  while (greatest >> bits) ++bits;
  return bits;
}

__device__ int64_t thread() { return static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x; }

// A splat's view and depth, whose bits order like the number because it is positive. What is beyond the seen ones comes
// after all views.
__global__ void depth_keys_kernel(int64_t splats, int views, const Record* records, Lists lists) {
  const int64_t i = thread();
  if (i >= lists.seen_capacity) return;
  if (i == 0) lists.totals->overflow = lists.totals->seen > lists.seen_capacity;
  const bool used = i < lists.totals->seen;
  const int32_t at = used ? lists.seen[i] : 0;
  uint32_t depth = 0;
  if (used) depth = __float_as_uint(records[at].depth);
  lists.depth_keys[i] = static_cast<uint64_t>(used ? at / splats : views) << 32 | depth;
  lists.seen[i] = at;
}

__global__ void count_pairs_kernel(const int32_t* counts, Lists lists) {
  const int64_t i = thread();
  if (i < lists.seen_capacity) lists.pairs_before[i] = i < lists.totals->seen ? counts[lists.order[i]] : 0;
}

__global__ void total_pairs_kernel(const int32_t* counts, Lists lists) {
  const int64_t i = thread();
  if (i >= lists.seen_capacity) return;
  if (i < lists.totals->seen) lists.first_pair[lists.order[i]] = lists.pairs_before[i];
  if (i != lists.seen_capacity - 1) return;
  const int64_t pairs = lists.pairs_before[i] + (i < lists.totals->seen ? counts[lists.order[i]] : 0);
  lists.totals->pairs = pairs;
  if (pairs > lists.pair_capacity) lists.totals->overflow = 1;
}

__global__ void find_pairs_kernel(int64_t splats, Views views, const Record* records, Lists lists) {
  const int64_t i = thread();
  if (i >= lists.seen_capacity || i >= lists.totals->seen) return;
  const int32_t at = lists.order[i];
  const Record& s = records[at];
  const uint32_t first_tile = static_cast<uint32_t>(at / splats) * views.tiles();
  int64_t slot = lists.pairs_before[i];
  const int64_t room = lists.pair_capacity;
  for_tile_rows({s.x, s.y, s.p, s.q, s.r, s.cut}, views.tiles_x(), views.tiles_y(),
                [&](int32_t row, const SpansOf<int32_t>& span) {
                  for (int32_t column = span.first; column <= span.last && slot < room; ++column, ++slot) {
                    lists.tile_keys[slot] = first_tile + row * views.tiles_x() + column;
                    lists.owners[slot] = at;
                  }
                });
}

// Numbers the pairs; what is beyond them comes after all tiles.
__global__ void number_kernel(uint32_t tiles, Lists lists) {
  const int64_t i = thread();
  if (i >= lists.pair_capacity) return;
  lists.slots[i] = static_cast<int32_t>(i);
  if (i >= lists.totals->pairs) lists.tile_keys[i] = tiles;
}

// Where each tile's entries start: every entry fills in those of the tiles since the one before it.
__global__ void find_tiles_kernel(uint32_t tiles, Lists lists) {
  const int64_t i = thread();
  const int64_t pairs = lists.totals->pairs < lists.pair_capacity ? lists.totals->pairs : lists.pair_capacity;
  if (i > pairs) return;
  const uint32_t from = i == 0 ? 0 : lists.tile_keys_sorted[i - 1] + 1, to = i == pairs ? tiles : lists.tile_keys_sorted[i];
  for (uint32_t tile = from; tile <= to; ++tile) lists.tile_start[tile] = i;
  if (i < pairs) lists.pair_splat[i] = lists.owners[lists.pair_slot[i]];
}

Temporary temporary_of(const Lists& lists) { return {lists.temporary, lists.temporary_bytes}; }

}  // namespace

size_t temporary_bytes(int64_t splats, int64_t seen_capacity, int64_t pair_capacity) {
  size_t most = 0;
  auto want = [&](auto&& call) {
    Temporary none{nullptr, 0};
    call(none);
    most = none.bytes > most ? none.bytes : most;
  };
  want([&](Temporary& t) { select_indices({}, t, splats, nullptr, nullptr, nullptr); });
  want([&](Temporary& t) { sort_pairs({}, t, seen_capacity, 64, (uint64_t*)nullptr, nullptr, nullptr, nullptr); });
  want([&](Temporary& t) { sum_before({}, t, seen_capacity, nullptr, nullptr); });
  want([&](Temporary& t) { sort_pairs({}, t, pair_capacity, 32, (uint32_t*)nullptr, nullptr, nullptr, nullptr); });
  return most;
}

void sort_by_depth(Stream stream, int64_t splats, const Views& views, const Record* records, const int32_t* counts,
                   const Lists& lists) {
  Temporary temporary = temporary_of(lists);
  const int64_t seen = lists.seen_capacity;
  select_indices(stream, temporary, splats * views.count, counts, lists.seen, &lists.totals->seen);
  launch(depth_keys_kernel, blocks(seen), THREADS, stream, splats, views.count, records, lists);
  sort_pairs(stream, temporary, seen, 32 + bits_of(views.count), lists.depth_keys, lists.depth_keys_sorted, lists.seen,
             lists.order);
  launch(count_pairs_kernel, blocks(seen), THREADS, stream, counts, lists);
  sum_before(stream, temporary, seen, lists.pairs_before, lists.pairs_before);
  launch(total_pairs_kernel, blocks(seen), THREADS, stream, counts, lists);
}

void list_tiles(Stream stream, int64_t splats, const Views& views, const Record* records, const Lists& lists) {
  Temporary temporary = temporary_of(lists);
  const uint32_t tiles = static_cast<uint32_t>(views.count) * views.tiles();
  launch(find_pairs_kernel, blocks(lists.seen_capacity), THREADS, stream, splats, views, records, lists);
  launch(number_kernel, blocks(lists.pair_capacity), THREADS, stream, tiles, lists);
  sort_pairs(stream, temporary, lists.pair_capacity, bits_of(tiles), lists.tile_keys, lists.tile_keys_sorted,
             lists.slots, lists.pair_slot);
  launch(find_tiles_kernel, blocks(lists.pair_capacity + 1), THREADS, stream, tiles, lists);
}

}  // namespace splatworld::gpu
