// The kernels without Python: a scene from one file through the whole pipeline, the picture and a gradient to another.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels.h"

using namespace splatworld;

template <class T>
static std::vector<T> read(FILE* file, size_t count) {
  std::vector<T> values(count);
  if (count && std::fread(values.data(), sizeof(T), count, file) != count) std::exit(3);
  return values;
}

int main(int, char** names) {
  FILE* file = std::fopen(names[1], "rb");
  auto head = read<int32_t>(file, 5);  // splats, harmonics, frames, width, height
  const int count = head[0], harmonics = head[1];
  View view{};
  view.width = head[3], view.height = head[4];
  if (std::fread(&view.camera, sizeof(Camera), 1, file) != 1) return 3;
  auto means = read<float>(file, 3 * count), log_scales = read<float>(file, 3 * count);
  auto quats = read<float>(file, 4 * count), logits = read<float>(file, count);
  auto sh = read<float>(file, 3 * harmonics * count), frames = read<float>(file, 7 * head[2]);
  auto bodies = read<int32_t>(file, count);
  auto by_image = read<float>(file, 3 * view.width * view.height);
  std::fclose(file);

  set_threads(2);
  SplatArrays splats{count, harmonics, harmonics, 1, means.data(), log_scales.data(), quats.data(), logits.data(),
                     sh.data(), bodies.data(), frames.data(), nullptr, nullptr};
  std::vector<Record> records(count);
  std::vector<int32_t> counts(count), order(count), scratch(4 * count);
  project(splats, view, records.data(), counts.data());
  const int64_t seen = sort_by_depth(count, records.data(), counts.data(), order.data(), scratch.data());
  std::vector<int64_t> first_pair(count), tile_start(view.tiles_x() * view.tiles_y() + 1);
  const int64_t pairs = number_pairs(count, counts.data(), first_pair.data());
  std::vector<int32_t> pair_splat(pairs), pair_slot(pairs), room(3 * pairs + 2 * tile_start.size());
  list_tiles(count, seen, pairs, order.data(), counts.data(), first_pair.data(), records.data(), view, 2, room.data(),
             pair_splat.data(), pair_slot.data(), tile_start.data());
  std::vector<float> image(by_image.size()), transmittance(view.width * view.height);
  const float background[3] = {0.1f, 0.2f, 0.3f};
  Pictures pictures{image.data(), transmittance.data(), nullptr, nullptr, nullptr};
  rasterize(view, records.data(), pair_splat.data(), tile_start.data(), background, pictures);
  std::vector<PairGradient> pair_gradients(pairs);
  rasterize_backward(view, records.data(), pair_splat.data(), pair_slot.data(), tile_start.data(), pictures,
                     {by_image.data(), nullptr, nullptr, nullptr, nullptr}, pair_gradients.data());
  std::vector<float> by_means(means.size()), by_scales(means.size()), by_sh(sh.size());
  SplatGradients gradients{by_means.data(), by_scales.data(), nullptr, nullptr, by_sh.data(), nullptr, nullptr};
  project_backward(splats, view, counts.data(), first_pair.data(), pair_gradients.data(), nullptr, nullptr, gradients);

  file = std::fopen(names[2], "wb");
  for (const auto* values : {&image, &by_means, &by_scales, &by_sh})
    std::fwrite(values->data(), sizeof(float), values->size(), file);
  std::fclose(file);
}
