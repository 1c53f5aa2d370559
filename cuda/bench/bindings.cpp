// The benchmark's module. `rasterize` and `rasterize_backward` take what the kernels' own take, so that either can do
// the other's work.
#include "arrays.h"
#include "bench/bench.h"

#define SPLATWORLD_MODULE(level) SPLATWORLD_JOIN(_bench_, level)

NB_MODULE(SPLATWORLD_MODULE(SPLATWORLD_LEVEL), m) {
  m.attr("LANES") = LANES;
  m.attr("BLEND_FLOPS") = BLEND_FLOPS;
  m.attr("BACKWARD_FLOPS") = BACKWARD_FLOPS;

  m.def("rasterize",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int64_t> tile_start,
           Array<float> background, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Optional<float> median_depth, Optional<int32_t> body_ids) {
          nb::gil_scoped_release release;
          plain_rasterize(
              pixels(width, height), as_records(records), pair_splat.data(), tile_start.data(), background.data(),
              {image.data(), transmittance.data(), pointer(depth), pointer(median_depth), pointer(body_ids)});
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg().none(), nb::arg().none());

  m.def("rasterize_backward",
        [](int width, int height, Array<float> records, Array<int32_t> pair_splat, Array<int32_t> pair_slot,
           Array<int64_t> tile_start, Array<float> image, Array<float> transmittance, Optional<float> depth,
           Array<float> g_image, Optional<float> g_transmittance, Optional<float> g_depth,
           Array<float> pair_gradients) {
          nb::gil_scoped_release release;
          plain_rasterize_backward(
              pixels(width, height), as_records(records), pair_splat.data(), pair_slot.data(), tile_start.data(),
              {image.data(), transmittance.data(), pointer(depth), nullptr, nullptr},
              {g_image.data(), pointer(g_transmittance), pointer(g_depth), nullptr, nullptr},
              reinterpret_cast<PairGradient*>(pair_gradients.data()));
        },
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg());

  m.def("count_blended", [](int width, int height, Array<float> records, Array<int32_t> pair_splat,
                            Array<int64_t> tile_start) {
    BlendedPairs counted;
    {
      nb::gil_scoped_release release;
      counted = count_blended(pixels(width, height), as_records(records), pair_splat.data(), tile_start.data());
    }
    return nb::make_tuple(counted.pixels, counted.blocks);
  });

  m.def("arithmetic_peak", &arithmetic_peak, nb::call_guard<nb::gil_scoped_release>());
}
