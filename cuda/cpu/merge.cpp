// One view of several states of a world: what stands still is sorted and blended once, and what moves is merged into the
// tiles that it touches.
#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {

void merge_tiles(int64_t tiles, const int32_t* tile_ids, const Record* records, const TileLists& still,
                 const TileLists& moving, int64_t first_moving, const int32_t* moving_index, const int64_t* start,
                 int32_t* pair_splat) {
  parallel_for(static_cast<long>(tiles), [&](long entry) {
    const int64_t tile = tile_ids[entry];
    const int32_t *a = still.pair_splat + still.tile_start[tile], *a_end = still.pair_splat + still.tile_start[tile + 1];
    const int32_t *b = moving.pair_splat + moving.tile_start[tile],
                  *b_end = moving.pair_splat + moving.tile_start[tile + 1];
    // Near to far, ties by the splat's index in the world, as one sort of all would have it.
    auto nearer = [&](int32_t fixed, int32_t moved) {
      float near = records[fixed].depth, far = records[first_moving + moved].depth;
      return near < far || (near == far && fixed < moving_index[moved]);
    };
    int32_t* out = pair_splat + start[entry];
    while (a != a_end || b != b_end) {
      if (b == b_end || (a != a_end && nearer(*a, *b)))
        *out++ = *a++;
      else
        *out++ = static_cast<int32_t>(first_moving) + *b++;
    }
  });
}

}  // namespace splatworld
