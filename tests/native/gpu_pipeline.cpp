// The CUDA kernels on a host that plays the device: a scene from one file through the whole pipeline, pictures and
// gradients to another.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gpu/passes.h"

using namespace splatworld;

template <class T>
static std::vector<T> read(FILE* file, size_t count) {
  std::vector<T> values(count);
  if (count && std::fread(values.data(), sizeof(T), count, file) != count) std::exit(3);
  return values;
}

int main(int, char** names) {
  FILE* file = std::fopen(names[1], "rb");
  auto head = read<int32_t>(file, 6);  // views, splats, harmonics, frames, width, height
  const int64_t batch = head[0], count = head[1], harmonics = head[2], all = batch * count;
  auto cameras = read<Camera>(file, batch);
  gpu::Views views{cameras.data(), head[0], head[4], head[5], false};
  const int64_t pixels = batch * views.pixels(), tiles = batch * views.tiles();
  auto means = read<float>(file, 3 * count), log_scales = read<float>(file, 3 * count);
  auto quats = read<float>(file, 4 * count), logits = read<float>(file, count);
  auto sh = read<float>(file, 3 * harmonics * count), frames = read<float>(file, 7 * head[3] * batch);
  auto bodies = read<int32_t>(file, count);
  auto by_image = read<float>(file, 3 * pixels), by_light = read<float>(file, pixels), by_depth = read<float>(file, pixels);
  std::fclose(file);

  SplatArrays splats{count, head[2], head[2], 1, means.data(), log_scales.data(), quats.data(), logits.data(),
                     sh.data(), bodies.data(), frames.data(), nullptr, nullptr};
  std::vector<Record> records(all);
  std::vector<int32_t> counts(all);
  gpu::project({}, splats, head[3], views, nullptr, records.data(), counts.data());
  int64_t wanted = 0;
  for (int32_t tiles_of_one : counts) wanted += tiles_of_one;
  const int64_t room = wanted + 7;  // more than is needed: what is beyond the pairs must do no harm
  gpu::Totals totals{};
  std::vector<uint64_t> keys(all), keys_sorted(all);
  std::vector<int32_t> seen(all), order(all), slots(room), owners(room), pair_splat(room), pair_slot(room);
  std::vector<int64_t> first_pair(all), before(all), tile_start(tiles + 1);
  std::vector<uint32_t> tile_keys(room), tile_keys_sorted(room);
  char temporary;
  gpu::Lists lists{all, room, &totals, keys.data(), keys_sorted.data(), seen.data(), order.data(), first_pair.data(),
                   before.data(), tile_keys.data(), tile_keys_sorted.data(), slots.data(), owners.data(),
                   pair_splat.data(), pair_slot.data(), tile_start.data(), &temporary, 1};
  gpu::sort_by_depth({}, count, views, records.data(), counts.data(), lists);
  gpu::list_tiles({}, count, views, records.data(), lists);
  if (totals.pairs != wanted || totals.overflow) return 4;
  std::vector<float> image(3 * pixels), light(pixels), depth(pixels), median(pixels);
  std::vector<int32_t> ids(pixels);
  const float background[3] = {0.1f, 0.2f, 0.3f};
  Pictures pictures{image.data(), light.data(), depth.data(), median.data(), ids.data()};
  gpu::rasterize({}, views, records.data(), pair_splat.data(), tile_start.data(), background, pictures);
  std::vector<PairGradient> pair_gradients(room);
  gpu::rasterize_backward({}, views, records.data(), pair_splat.data(), pair_slot.data(), tile_start.data(), pictures,
                          {by_image.data(), by_light.data(), by_depth.data(), nullptr, nullptr}, pair_gradients.data());

  file = std::fopen(names[2], "wb");
  for (const auto* values : {&image, &light, &depth, &median})
    std::fwrite(values->data(), sizeof(float), values->size(), file);
  std::vector<float> sums(all * PAIR_FLOATS);  // of each view's splats, over their tiles
  for (int64_t n = 0; n < all; ++n)
    for (int32_t t = 0; t < counts[n]; ++t)
      for (int k = 0; k < PAIR_FLOATS; ++k)
        sums[n * PAIR_FLOATS + k] += reinterpret_cast<const float*>(&pair_gradients[first_pair[n] + t])[k];
  std::fwrite(sums.data(), sizeof(float), sums.size(), file);
  std::fclose(file);
}
