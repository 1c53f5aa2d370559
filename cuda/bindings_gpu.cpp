// The CUDA kernels' module, whatever the processor. Arrays come as DLPack views of torch tensors on the device; Python has
// counted and allocated, and gives the stream as a number. Nothing here waits for the device.
#include <type_traits>

#include "arrays.h"
#include "gpu/passes.h"

namespace {

static_assert(sizeof(gpu::Totals) == 3 * sizeof(int64_t));

gpu::Stream stream_of(uint64_t number) {
#ifdef SPLATWORLD_HOST_SHIM
  return static_cast<gpu::Stream>(number);
#else
  return reinterpret_cast<gpu::Stream>(number);
#endif
}

gpu::Views views_of(const Array<float>& cameras, int width, int height, bool antialias) {
  return {reinterpret_cast<const Camera*>(cameras.data()), static_cast<int>(cameras.shape(0)), width, height, antialias};
}

// As many views as there are, where no camera is needed.
gpu::Views views_of(size_t count, int width, int height) { return {nullptr, static_cast<int>(count), width, height, false}; }

// The order in which splatworld/render/device.py passes them.
struct PackedLists {
  Array<int64_t> totals, depth_keys, depth_keys_sorted;
  Array<int32_t> seen, order;
  Array<int64_t> first_pair, pairs_before;
  Array<int32_t> tile_keys, tile_keys_sorted, slots, owners, pair_splat, pair_slot;
  Array<int64_t> tile_start;
  Array<uint8_t> temporary;

  gpu::Lists view() const {
    return {static_cast<int64_t>(order.shape(0)),
            static_cast<int64_t>(pair_slot.shape(0)),
            reinterpret_cast<gpu::Totals*>(totals.data()),
            reinterpret_cast<uint64_t*>(depth_keys.data()),
            reinterpret_cast<uint64_t*>(depth_keys_sorted.data()),
            seen.data(),
            order.data(),
            first_pair.data(),
            pairs_before.data(),
            reinterpret_cast<uint32_t*>(tile_keys.data()),
            reinterpret_cast<uint32_t*>(tile_keys_sorted.data()),
            slots.data(),
            owners.data(),
            pair_splat.data(),
            pair_slot.data(),
            tile_start.data(),
            temporary.data(),
            temporary.shape(0)};
  }
};

}  // namespace

NB_MODULE(_native_cuda, m) {
  m.attr("DEVICE") = std::is_same_v<SPLATWORLD_ARRAY_DEVICE, nb::device::cpu> ? "cpu" : "cuda";
  m.attr("TILE") = TILE;
  m.attr("RECORD_FLOATS") = RECORD_FLOATS;
  m.attr("PAIR_FLOATS") = PAIR_FLOATS;
  m.attr("CAMERA_FLOATS") = CAMERA_FLOATS;
  nb::exception<gpu::DeviceError>(m, "DeviceError", nb::module_::import_("splatworld.core.checks").attr("SplatworldError"));

  nb::class_<PackedLists>(m, "PackedLists")
      .def("__init__", [](PackedLists* self, Array<int64_t> totals, Array<int64_t> depth_keys,
                          Array<int64_t> depth_keys_sorted, Array<int32_t> seen, Array<int32_t> order,
                          Array<int64_t> first_pair, Array<int64_t> pairs_before, Array<int32_t> tile_keys,
                          Array<int32_t> tile_keys_sorted, Array<int32_t> slots, Array<int32_t> owners,
                          Array<int32_t> pair_splat, Array<int32_t> pair_slot, Array<int64_t> tile_start,
                          Array<uint8_t> temporary) {
        new (self) PackedLists{totals,    depth_keys, depth_keys_sorted, seen,   order,      first_pair, pairs_before,
                               tile_keys, tile_keys_sorted, slots,       owners, pair_splat, pair_slot,  tile_start,
                               temporary};
      });

  m.def("temporary_bytes", [](int64_t splats, int64_t seen_capacity, int64_t pair_capacity) {
    return gpu::temporary_bytes(splats, seen_capacity, pair_capacity);
  });

  m.def("project",
        [](Array<float> means, Array<float> log_scales, Array<float> quats, Array<float> opacity_logits,
           Array<float> sh, int sh_count, Array<int32_t> body_ids, Array<float> frames, Optional<int32_t> skin_indices,
           Optional<float> skin_weights, Array<float> cameras, int width, int height, bool antialias,
           Optional<uint8_t> hidden, Array<float> records, Array<int32_t> counts, uint64_t stream) {
          nb::gil_scoped_release release;
          gpu::project(stream_of(stream),
                       make_splats(means, log_scales, quats, opacity_logits, sh, sh_count, body_ids, frames,
                                   skin_indices, skin_weights),
                       static_cast<int>(frames.shape(1)), views_of(cameras, width, height, antialias), pointer(hidden),
                       as_records(records), counts.data());
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
        nb::arg());

  m.def("sort_by_depth", [](Array<float> records, Array<int32_t> counts, const PackedLists& lists, uint64_t stream) {
    nb::gil_scoped_release release;
    gpu::sort_by_depth(stream_of(stream), static_cast<int64_t>(counts.shape(1)), views_of(counts.shape(0), 0, 0),
                       as_records(records), counts.data(), lists.view());
  });

  m.def("list_tiles", [](int width, int height, Array<float> records, Array<int32_t> counts, const PackedLists& lists,
                         uint64_t stream) {
    nb::gil_scoped_release release;
    gpu::list_tiles(stream_of(stream), static_cast<int64_t>(counts.shape(1)),
                    views_of(counts.shape(0), width, height), as_records(records), lists.view());
  });

  m.def("rasterize",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int64_t> tile_start,
           Array<float> background, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Optional<float> median_depth, Optional<int32_t> body_ids, uint64_t stream) {
          nb::gil_scoped_release release;
          gpu::rasterize(stream_of(stream), views_of(image.shape(0), width, height), as_records(records),
                         pair_splat.data(), tile_start.data(), background.data(),
                         {image.data(), transmittance.data(), pointer(depth), pointer(median_depth), pointer(body_ids)});
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg().none(), nb::arg());

  m.def("rasterize_backward",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int32_t> pair_slot,
           Array<int64_t> tile_start, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Array<float> g_image, Optional<float> g_transmittance, Optional<float> g_depth, Array<float> pair_gradients,
           uint64_t stream) {
          nb::gil_scoped_release release;
          gpu::rasterize_backward(stream_of(stream), views_of(image.shape(0), width, height), as_records(records),
                                  pair_splat.data(), pair_slot.data(), tile_start.data(),
                                  {image.data(), transmittance.data(), pointer(depth), nullptr, nullptr},
                                  {g_image.data(), pointer(g_transmittance), pointer(g_depth), nullptr, nullptr},
                                  as_pairs(pair_gradients));
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg());

  m.def("project_backward",
        [](Array<float> means, Array<float> log_scales, Array<float> quats, Array<float> opacity_logits,
           Array<float> sh, int sh_count, Array<int32_t> body_ids, Array<float> frames, Optional<int32_t> skin_indices,
           Optional<float> skin_weights, Array<float> cameras, int width, int height, bool antialias,
           Array<int32_t> counts, Array<int64_t> first_pair, Array<float> pair_gradients,
           Optional<double> block_cameras, Optional<float> frame_pairs, Optional<int64_t> frame_start,
           Optional<int64_t> frame_entries, Optional<float> g_means, Optional<float> g_log_scales,
           Optional<float> g_quats, Optional<float> g_opacity_logits, Optional<float> g_sh, Optional<double> g_frames,
           Optional<double> g_cameras, uint64_t stream) {
          nb::gil_scoped_release release;
          const int table = static_cast<int>(frames.shape(1));
          gpu::project_backward(stream_of(stream),
                                make_splats(means, log_scales, quats, opacity_logits, sh, sh_count, body_ids, frames,
                                            skin_indices, skin_weights),
                                table, views_of(cameras, width, height, antialias), counts.data(), first_pair.data(),
                                as_pairs(pair_gradients), pointer(block_cameras), pointer(frame_pairs),
                                {table, pointer(frame_start), pointer(frame_entries)},
                                {pointer(g_means), pointer(g_log_scales), pointer(g_quats), pointer(g_opacity_logits),
                                 pointer(g_sh), pointer(g_frames), pointer(g_cameras)});
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(),
        nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg());

  // loss [5]: L1, SSIM and the gradient by the log of the gain.
  m.def("l1_ssim",
        [](Array<float> image, Optional<float> gain, Array<uint8_t> target, Optional<uint8_t> mask, float ssim_weight,
           Array<float> planes, Array<double> block_sums, Array<int64_t> used_pixels, Array<double> loss,
           Array<float> gradient, uint64_t stream) {
          nb::gil_scoped_release release;
          gpu::l1_ssim(stream_of(stream), image.data(), pointer(gain), target.data(), pointer(mask),
                       static_cast<int>(image.shape(1)), static_cast<int>(image.shape(0)), ssim_weight, planes.data(),
                       block_sums.data(), used_pixels.data(), reinterpret_cast<Loss*>(loss.data()), gradient.data());
        },
        nb::arg(), nb::arg().none(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg());

  m.def("adam",
        [](Array<float> value, Array<float> gradient, Array<float> first, Array<float> second,
           Optional<int32_t> visible, Array<float> rates, float sigmoid_cost, float exponential_cost, float beta1,
           float beta2, float epsilon, int64_t step, uint64_t stream) {
          const int width = static_cast<int>(rates.size());
          if (width < 1) throw nb::value_error("adam: a row holds at least one number.");
          nb::gil_scoped_release release;
          gpu::adam(stream_of(stream), static_cast<int64_t>(value.size()) / width, width, pointer(visible),
                    make_step(beta1, beta2, epsilon, step), {sigmoid_cost, exponential_cost}, rates.data(),
                    gradient.data(), first.data(), second.data(), value.data());
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), nb::arg(), nb::arg());

  m.def("wander", [](Array<float> means, Array<float> opacity_logits, Array<float> log_scales, Array<float> quats,
                     float strength, float below, uint64_t seed, uint64_t step, uint64_t stream) {
    nb::gil_scoped_release release;
    gpu::wander(stream_of(stream), static_cast<int64_t>(means.shape(0)), opacity_logits.data(), log_scales.data(),
                quats.data(), {strength, below, seed, step}, means.data());
  });
}
