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
  // views, splats, harmonics stored and used, frames, width, height, pairs of the skin (0: none), antialias, room for seen
  // splats and for pairs (0: as much as is wanted, and some)
  auto head = read<int32_t>(file, 11);
  const int64_t batch = head[0], count = head[1], harmonics = head[2], frame_count = head[4], all = batch * count;
  const int64_t weights = head[7], width = std::max<int64_t>(1, weights);
  auto cameras = read<Camera>(file, batch);
  gpu::Views views{cameras.data(), head[0], head[5], head[6], head[8] != 0};
  const int64_t pixels = batch * views.pixels(), tiles = batch * views.tiles();
  auto means = read<float>(file, 3 * count), log_scales = read<float>(file, 3 * count);
  auto quats = read<float>(file, 4 * count), logits = read<float>(file, count);
  auto sh = read<float>(file, 3 * harmonics * count), frames = read<float>(file, 7 * frame_count * batch);
  auto bodies = read<int32_t>(file, count), skin_indices = read<int32_t>(file, weights * count);
  auto skin_weights = read<float>(file, weights * count);
  auto hidden = read<uint8_t>(file, frame_count);
  auto by_image = read<float>(file, 3 * pixels), by_light = read<float>(file, pixels), by_depth = read<float>(file, pixels);
  std::fclose(file);

  SplatArrays splats{count, head[2], head[3], static_cast<int>(width), means.data(), log_scales.data(), quats.data(),
                     logits.data(), sh.data(), bodies.data(), frames.data(), weights ? skin_indices.data() : nullptr,
                     weights ? skin_weights.data() : nullptr};
  std::vector<Record> records(all);
  std::vector<int32_t> counts(all);
  gpu::project({}, splats, head[4], views, hidden.data(), records.data(), counts.data());
  int64_t wanted = 0;
  for (int32_t tiles_of_one : counts) wanted += tiles_of_one;
  const int64_t seen_room = head[9] ? head[9] : all, room = head[10] ? head[10] : wanted + 7;
  gpu::Totals totals{};
  std::vector<uint64_t> keys(seen_room), keys_sorted(seen_room);
  std::vector<int32_t> seen(all), order(seen_room), slots(room), owners(room), pair_splat(room), pair_slot(room);
  std::vector<int64_t> first_pair(all), before(seen_room), tile_start(tiles + 1);
  std::vector<uint32_t> tile_keys(room), tile_keys_sorted(room);
  char temporary;
  gpu::Lists lists{seen_room, room, &totals, keys.data(), keys_sorted.data(), seen.data(), order.data(), first_pair.data(),
                   before.data(), tile_keys.data(), tile_keys_sorted.data(), slots.data(), owners.data(),
                   pair_splat.data(), pair_slot.data(), tile_start.data(), &temporary, 1};
  gpu::sort_by_depth({}, count, views, records.data(), counts.data(), lists);
  gpu::list_tiles({}, count, views, records.data(), lists);
  std::vector<float> image(3 * pixels), light(pixels), depth(pixels), median(pixels);
  std::vector<int32_t> ids(pixels);
  const float background[3] = {0.1f, 0.2f, 0.3f};
  Pictures pictures{image.data(), light.data(), depth.data(), median.data(), ids.data()};
  gpu::rasterize({}, views, records.data(), pair_splat.data(), tile_start.data(), background, pictures);
  FILE* out = std::fopen(names[2], "wb");
  const int64_t told[4] = {totals.seen, totals.pairs, totals.overflow, wanted};
  std::fwrite(told, sizeof told, 1, out);
  if (totals.overflow) return std::fclose(out);
  std::vector<PairGradient> pair_gradients(room);
  gpu::rasterize_backward({}, views, records.data(), pair_splat.data(), pair_slot.data(), tile_start.data(), pictures,
                          {by_image.data(), by_light.data(), by_depth.data(), nullptr, nullptr}, pair_gradients.data());

  std::vector<int64_t> frame_start(frame_count + 1), frame_entries;  // by frame, as a stable sort has them
  for (int32_t frame = 0; frame < frame_count; ++frame) {
    for (int64_t i = 0; i < count * width; ++i)
      if ((weights ? skin_indices[i] : bodies[i]) == frame) frame_entries.push_back(i);
    frame_start[frame + 1] = static_cast<int64_t>(frame_entries.size());
  }
  std::vector<float> by_means(means.size()), by_scales(means.size()), by_quats(quats.size()), by_logits(count);
  std::vector<float> by_sh(sh.size()), frame_pairs(7 * width * all);
  std::vector<double> by_frames(frames.size()), by_camera(batch * CAMERA_FLOATS);
  std::vector<double> block_cameras((count + 127) / 128 * batch * CAMERA_FLOATS);
  gpu::project_backward({}, splats, head[4], views, counts.data(), first_pair.data(), pair_gradients.data(),
                        block_cameras.data(), frame_pairs.data(), {head[4], frame_start.data(), frame_entries.data()},
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

  // Splats that are nearly clear wander.
  std::vector<float> wandered = means, faint = logits;
  for (float& logit : faint) logit -= 6.0f;
  gpu::wander({}, count, faint.data(), log_scales.data(), quats.data(), {3.0f, 0.0f, 1ull << 40 | 5, 7}, wandered.data());

  for (const auto* values : {&image, &light, &depth, &median})
    std::fwrite(values->data(), sizeof(float), values->size(), out);
  for (const auto* values : {&by_means, &by_scales, &by_quats, &by_logits, &by_sh, &loss_gradient, &stepped, &wandered})
    std::fwrite(values->data(), sizeof(float), values->size(), out);
  for (const auto* values : {&by_frames, &by_camera}) std::fwrite(values->data(), sizeof(double), values->size(), out);
  std::fwrite(&loss, sizeof loss, 1, out);
  std::fclose(out);
}
