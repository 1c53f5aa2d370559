// Two stages: the seen splats of all views are sorted by view and depth once, then their (tile, splat) pairs by tile with
// a stable sort, which keeps that order (Faster-GS, 2025).
#include "gpu/passes.h"
#include "gpu/sort.h"
#include "gpu/tiles.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = 256;
constexpr uint32_t FULL = 0xffffffffu;
constexpr int MOST_ALONE = 32;  // tiles that one thread lists, while the others of its warp wait

int64_t blocks(int64_t count) { return (count + THREADS - 1) / THREADS; }

// Bits of which numbers up to `greatest` consist.
int bits_of(uint64_t greatest) {
  int bits = 0;
  while (greatest >> bits) ++bits;
  return bits;
}

__device__ int64_t thread() { return static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x; }

__device__ uint32_t view_of(int32_t at, int64_t splats) {
  return static_cast<uint32_t>(at) / static_cast<uint32_t>(splats);  // 32 bits: a division of 64 takes 70 instructions
}

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
  lists.depth_keys[i] = static_cast<uint64_t>(used ? view_of(at, splats) : views) << 32 | depth;
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

// Who writes the pairs of a splat, and where.
struct Listing {
  int32_t at;
  uint32_t first_tile;
  int64_t slot;

  __device__ void write(const Lists& lists, int64_t slot_of_pair, uint32_t tile) const {
    if (slot_of_pair >= lists.pair_capacity) return;
    lists.tile_keys[slot_of_pair] = first_tile + tile;
    lists.owners[slot_of_pair] = at;
  }
};

__device__ EllipseOf<float> ellipse_of(const Record& s) { return {s.x, s.y, s.p, s.q, s.r, s.cut}; }

__device__ void list_alone(const Listing& own, const EllipseOf<float>& s, const Views& views, const Lists& lists) {
  int64_t slot = own.slot;
  for_tile_rows(s, views.tiles_x(), views.tiles_y(), [&](int32_t row, const SpansOf<int32_t>& span) {
    for (int32_t column = span.first; column <= span.last; ++column)
      own.write(lists, slot++, row * views.tiles_x() + column);
  });
}

// A splat of many tiles, by a whole warp in the same order: each lane has a row of tiles, then each an entry of those rows.
__device__ void list_together(Listing its, const EllipseOf<float>& s, const Views& views, const Lists& lists) {
  const int lane = threadIdx.x % 32;
  const ExtentsOf<float> found = extents(s, views.tiles_y());
  for (int32_t top = found.rows.first; top <= found.rows.last; top += 32) {
    SpansOf<int32_t> span{0, -1};
    if (top + lane <= found.rows.last) span = columns(s, found, views.tiles_x(), top + lane);
    const int32_t length = span.last >= span.first ? span.last - span.first + 1 : 0;
    int32_t end = length;  // of the lane's row, counted in entries
    for (int by = 1; by < 32; by *= 2) {
      const int32_t before = __shfl_sync(FULL, end, (lane - by) & 31);
      if (lane >= by) end += before;
    }
    const int32_t total = __shfl_sync(FULL, end, 31), start = end - length;
    for (int32_t first = 0; first < total; first += 32) {
      const int32_t entry = first + lane;
      int row = 0;  // the first that ends behind the entry
      for (int step = 16; step > 0; step /= 2)
        if (__shfl_sync(FULL, end, row + step - 1) <= entry) row += step;
      const int32_t column = __shfl_sync(FULL, span.first, row) + entry - __shfl_sync(FULL, start, row);
      if (entry < total) its.write(lists, its.slot + entry, (top + row) * views.tiles_x() + column);
    }
    its.slot += total;
  }
}

__global__ void find_pairs_kernel(int64_t splats, Views views, const Record* records, Lists lists) {
  const int64_t i = thread();
  const int64_t seen = lists.totals->seen < lists.seen_capacity ? lists.totals->seen : lists.seen_capacity;
  Listing own{0, 0, 0};
  int64_t pairs = 0;
  if (i < seen) {
    own.at = lists.order[i];
    own.first_tile = view_of(own.at, splats) * views.tiles();
    own.slot = lists.pairs_before[i];
    pairs = (i + 1 < seen ? lists.pairs_before[i + 1] : lists.totals->pairs) - own.slot;
  }
  if (pairs > 0 && pairs <= MOST_ALONE) list_alone(own, ellipse_of(records[own.at]), views, lists);
  __syncwarp();
  for (uint32_t large = __ballot_sync(FULL, pairs > MOST_ALONE); large; large &= large - 1) {
    const int lane = __ffs(large) - 1;
    const Listing its{__shfl_sync(FULL, own.at, lane), __shfl_sync(FULL, own.first_tile, lane),
                      __shfl_sync(FULL, own.slot, lane)};
    list_together(its, ellipse_of(records[its.at]), views, lists);
  }
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
