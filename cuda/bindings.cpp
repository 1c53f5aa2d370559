// The kernels' module. Arrays come as DLPack views of torch tensors; Python has counted and allocated.
#include "arrays.h"

#define SPLATWORLD_MODULE(level) SPLATWORLD_JOIN(_native_, level)

void bind_geometry(nb::module_& m);
void bind_dynamics(nb::module_& m);
void bind_queries(nb::module_& m);

namespace {

View make_view(const Array<float>& camera, int width, int height, bool antialias) {
  View view;
  std::memcpy(&view.camera, camera.data(), sizeof(Camera));
  view.width = width;
  view.height = height;
  view.antialias = antialias;
  return view;
}

}  // namespace

NB_MODULE(SPLATWORLD_MODULE(SPLATWORLD_LEVEL), m) {
  m.attr("TILE") = TILE;
  m.attr("RECORD_FLOATS") = RECORD_FLOATS;
  m.attr("PAIR_FLOATS") = PAIR_FLOATS;
  m.attr("CAMERA_FLOATS") = CAMERA_FLOATS;
  m.attr("LOSS_PLANES") = LOSS_PLANES;
  m.attr("LOSS_SUMS") = LOSS_SUMS;
  m.def("set_threads", &set_threads);
  m.def("get_threads", &get_threads);
#if defined(__x86_64__)
  m.def("supports", [](const char* level) {
    __builtin_cpu_init();
    if (level[1] == '4') return bool(__builtin_cpu_supports("x86-64-v4"));
    if (level[1] == '3') return bool(__builtin_cpu_supports("x86-64-v3"));
    return true;
  });
#endif

  m.def("project",
        [](Array<float> means, Array<float> log_scales, Array<float> quats, Array<float> opacity_logits,
           Array<float> sh, int sh_count, Array<int32_t> body_ids, Array<float> frames, Optional<int32_t> skin_indices,
           Optional<float> skin_weights, Array<float> camera, int width, int height, bool antialias,
           Array<float> records, Array<int32_t> counts) {
          nb::gil_scoped_release release;
          project(make_splats(means, log_scales, quats, opacity_logits, sh, sh_count, body_ids, frames, skin_indices,
                              skin_weights),
                  make_view(camera, width, height, antialias), as_records(records), counts.data());
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());

  m.def("project_backward",
        [](Array<float> means, Array<float> log_scales, Array<float> quats, Array<float> opacity_logits,
           Array<float> sh, int sh_count, Array<int32_t> body_ids, Array<float> frames, Optional<int32_t> skin_indices,
           Optional<float> skin_weights, Array<float> camera, int width, int height, bool antialias,
           Array<int32_t> counts, Array<int64_t> first_pair, Array<float> pair_gradients,
           Optional<double> chunk_cameras, Optional<float> frame_pairs, Optional<float> g_means,
           Optional<float> g_log_scales, Optional<float> g_quats, Optional<float> g_opacity_logits,
           Optional<float> g_sh, Optional<double> g_frames, Optional<double> g_camera) {
          nb::gil_scoped_release release;
          project_backward(make_splats(means, log_scales, quats, opacity_logits, sh, sh_count, body_ids, frames,
                                       skin_indices, skin_weights),
                           make_view(camera, width, height, antialias), counts.data(), first_pair.data(),
                           as_pairs(pair_gradients), pointer(chunk_cameras), pointer(frame_pairs),
                           {pointer(g_means), pointer(g_log_scales), pointer(g_quats), pointer(g_opacity_logits),
                            pointer(g_sh), pointer(g_frames), pointer(g_camera)});
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(),
        nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none());

  m.def("sort_by_depth", [](Array<float> records, Array<int32_t> counts, Array<int32_t> order, Array<int32_t> scratch) {
    nb::gil_scoped_release release;
    return sort_by_depth(static_cast<int64_t>(counts.shape(0)), as_records(records), counts.data(), order.data(),
                         scratch.data());
  });

  m.def("number_pairs", [](Array<int32_t> counts, Array<int64_t> first_pair) {
    nb::gil_scoped_release release;
    return number_pairs(static_cast<int64_t>(counts.shape(0)), counts.data(), first_pair.data());
  });

  m.def("list_tiles", [](int64_t seen, int64_t pairs, Array<int32_t> order, Array<int32_t> counts,
                         Array<int64_t> first_pair, Array<float> records, int width, int height, int parts,
                         Array<int32_t> scratch, Array<int32_t> pair_splat, Array<int32_t> pair_slot,
                         Array<int64_t> tile_start) {
    nb::gil_scoped_release release;
    list_tiles(static_cast<int64_t>(counts.shape(0)), seen, pairs, order.data(), counts.data(), first_pair.data(),
               as_records(records), pixels(width, height), parts, scratch.data(), pair_splat.data(), pair_slot.data(),
               tile_start.data());
  });

  m.def("rasterize",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int64_t> tile_start,
           Array<float> background, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Optional<float> median_depth, Optional<int32_t> body_ids) {
          nb::gil_scoped_release release;
          rasterize(pixels(width, height), as_records(records), pair_splat.data(), tile_start.data(),
                    background.data(),
                    {image.data(), transmittance.data(), pointer(depth), pointer(median_depth), pointer(body_ids)});
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg().none());

  m.def("merge_tiles", [](Array<int32_t> tile_ids, Array<float> records, Array<int32_t> still_splat,
                          Array<int64_t> still_start, Array<int32_t> moving_splat, Array<int64_t> moving_start,
                          Array<int32_t> moving_index, Array<int64_t> start, Array<int32_t> pair_splat) {
    nb::gil_scoped_release release;
    int64_t moving = static_cast<int64_t>(moving_index.shape(0));
    merge_tiles(static_cast<int64_t>(tile_ids.shape(0)), tile_ids.data(), as_records(records),
                {still_splat.data(), still_start.data()}, {moving_splat.data(), moving_start.data()},
                static_cast<int64_t>(records.shape(0)) - moving, moving_index.data(), start.data(), pair_splat.data());
  });

  m.def("rasterize_tiles", [](int width, int height, Array<int32_t> tile_ids, Array<float> records,
                              Array<int32_t> pair_splat, Array<int64_t> tile_start, Array<float> background,
                              Array<float> image, Array<float> transmittance, Array<float> depth,
                              Array<float> median_depth, Array<int32_t> body_ids) {
    nb::gil_scoped_release release;
    rasterize_tiles(pixels(width, height), static_cast<int64_t>(tile_ids.shape(0)), tile_ids.data(),
                    as_records(records), pair_splat.data(), tile_start.data(), background.data(),
                    {image.data(), transmittance.data(), depth.data(), median_depth.data(), body_ids.data()});
  });

  m.def("rasterize_backward",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int32_t> pair_slot,
           Array<int64_t> tile_start, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Array<float> g_image, Optional<float> g_transmittance, Optional<float> g_depth,
           Array<float> pair_gradients) {
          nb::gil_scoped_release release;
          rasterize_backward(pixels(width, height), as_records(records), pair_splat.data(), pair_slot.data(),
                             tile_start.data(), {image.data(), transmittance.data(), pointer(depth), nullptr, nullptr},
                             {g_image.data(), pointer(g_transmittance), pointer(g_depth), nullptr, nullptr},
                             as_pairs(pair_gradients));
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg());

  m.def("l1_ssim",
        [](Array<float> image, Optional<float> gain, Array<uint8_t> target, Optional<uint8_t> mask, float ssim_weight,
           Array<float> planes, Array<double> row_sums, Array<float> gradient) {
          Loss loss;
          {
            nb::gil_scoped_release release;
            loss = l1_ssim(image.data(), pointer(gain), target.data(), pointer(mask), static_cast<int>(image.shape(1)),
                           static_cast<int>(image.shape(0)), ssim_weight, planes.data(), row_sums.data(),
                           gradient.data());
          }
          const double* by_log_gain = loss.by_log_gain;
          return nb::make_tuple(loss.l1, loss.ssim, nb::make_tuple(by_log_gain[0], by_log_gain[1], by_log_gain[2]));
        },
        nb::arg(), nb::arg().none(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg());

  m.def("adam",
        [](Array<float> value, Array<float> gradient, Array<float> first, Array<float> second,
           Optional<int32_t> visible, Array<float> rates, float sigmoid_cost, float exponential_cost, float beta1,
           float beta2, float epsilon, int64_t step) {
          int width = static_cast<int>(rates.size());
          if (width < 1 || width > ADAM_COLUMNS) throw nb::value_error("adam: a row holds 1 to 768 numbers.");
          nb::gil_scoped_release release;
          adam(static_cast<int64_t>(value.size()) / width, width, pointer(visible),
               make_step(beta1, beta2, epsilon, step), {sigmoid_cost, exponential_cost}, rates.data(),
               gradient.data(), first.data(), second.data(), value.data());
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), nb::arg());

  m.def("wander", [](Array<float> means, Array<float> opacity_logits, Array<float> log_scales, Array<float> quats,
                     float strength, float below, uint64_t seed, uint64_t step) {
    nb::gil_scoped_release release;
    wander(static_cast<int64_t>(means.shape(0)), opacity_logits.data(), log_scales.data(), quats.data(),
           {strength, below, seed, step}, means.data());
  });

  bind_geometry(m);
  bind_dynamics(m);
  bind_queries(m);
}
