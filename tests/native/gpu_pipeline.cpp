// The CUDA kernels on a host that plays the device: a scene from one file through the whole pipeline, pictures and
// gradients to another.
#include <algorithm>
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
  for (int64_t fits : {wanted / 2, int64_t{1}}) {  // and what does not fit is told, not written
    const int64_t few = fits == 1 ? all / 3 : all;
    std::vector<uint64_t> keys_of_few(few), sorted_of_few(few);
    std::vector<int32_t> found(all), few_ordered(few), few_slots(fits), few_owners(fits), few_splats(fits), few_own(fits);
    std::vector<uint32_t> few_keys(fits), few_sorted(fits);
    std::vector<int64_t> first(all), few_before(few), starts(tiles + 1);
    gpu::Totals told{};
    gpu::Lists small{few, fits, &told, keys_of_few.data(), sorted_of_few.data(), found.data(), few_ordered.data(),
                     first.data(), few_before.data(), few_keys.data(), few_sorted.data(), few_slots.data(),
                     few_owners.data(), few_splats.data(), few_own.data(), starts.data(), &temporary, 1};
    gpu::sort_by_depth({}, count, views, records.data(), counts.data(), small);
    gpu::list_tiles({}, count, views, records.data(), small);
    if (!told.overflow || told.seen != totals.seen || starts[tiles] != fits) return 5;
  }
  std::vector<float> image(3 * pixels), light(pixels), depth(pixels), median(pixels);
  std::vector<int32_t> ids(pixels);
  const float background[3] = {0.1f, 0.2f, 0.3f};
  Pictures pictures{image.data(), light.data(), depth.data(), median.data(), ids.data()};
  gpu::rasterize({}, views, records.data(), pair_splat.data(), tile_start.data(), background, pictures);
  std::vector<PairGradient> pair_gradients(room);
  gpu::rasterize_backward({}, views, records.data(), pair_splat.data(), pair_slot.data(), tile_start.data(), pictures,
                          {by_image.data(), by_light.data(), by_depth.data(), nullptr, nullptr}, pair_gradients.data());

  std::vector<int64_t> frame_start(head[3] + 1), frame_entries;  // by frame, as a stable sort has them
  for (int32_t frame = 0; frame < head[3]; ++frame) {
    for (int64_t n = 0; n < count; ++n)
      if (bodies[n] == frame) frame_entries.push_back(n);
    frame_start[frame + 1] = static_cast<int64_t>(frame_entries.size());
  }
  std::vector<float> by_means(means.size()), by_scales(means.size()), by_quats(quats.size()), by_logits(count);
  std::vector<float> by_sh(sh.size()), frame_pairs(7 * all);
  std::vector<double> by_frames(frames.size()), by_camera(batch * CAMERA_FLOATS);
  std::vector<double> block_cameras((count + 127) / 128 * batch * CAMERA_FLOATS);
  gpu::project_backward({}, splats, head[3], views, counts.data(), first_pair.data(), pair_gradients.data(),
                        block_cameras.data(), frame_pairs.data(), {head[3], frame_start.data(), frame_entries.data()},
                        {by_means.data(), by_scales.data(), by_quats.data(), by_logits.data(), by_sh.data(),
                         by_frames.data(), by_camera.data()});

  // The first view against a target that is its own picture moved by a pixel, masked here and there.
  const int64_t own = views.pixels();
  std::vector<uint8_t> target(3 * own), mask(own);
  for (int64_t i = 0; i < 3 * own; ++i)
    target[i] = static_cast<uint8_t>(std::min(255.0f, std::max(0.0f, 255.0f * image[(i + 3) % (3 * own)])));
  for (int64_t i = 0; i < own; ++i) mask[i] = i % 7 != 0;
  const float gain[3] = {1.1f, 0.9f, 1.0f};
  std::vector<float> planes(9 * own), loss_gradient(3 * own);
  std::vector<double> block_sums(9 * views.tiles());
  int64_t used;
  Loss loss;
  gpu::l1_ssim({}, image.data(), gain, target.data(), mask.data(), views.width, views.height, 0.2f, planes.data(),
               block_sums.data(), &used, &loss, loss_gradient.data());

  // Three numbers of each mean are stepped, where the first view sees the splat.
  std::vector<float> stepped = means, moment1(means.size()), moment2(means.size()), slopes = by_means;
  const float rates[3] = {0.1f, 0.2f, 0.3f};
  gpu::adam({}, count, 3, counts.data(), {0.9f, 0.999f, 1e-8f, 1.0f - 0.9f, 1.0f - 0.999f}, {0.01f, 0.02f}, rates, slopes.data(),
            moment1.data(), moment2.data(), stepped.data());

  file = std::fopen(names[2], "wb");
  for (const auto* values : {&image, &light, &depth, &median})
    std::fwrite(values->data(), sizeof(float), values->size(), file);
  for (const auto* values : {&by_means, &by_scales, &by_quats, &by_logits, &by_sh, &loss_gradient, &stepped})
    std::fwrite(values->data(), sizeof(float), values->size(), file);
  for (const auto* values : {&by_frames, &by_camera}) std::fwrite(values->data(), sizeof(double), values->size(), file);
  std::fwrite(&loss, sizeof loss, 1, file);
  std::fclose(file);
}
