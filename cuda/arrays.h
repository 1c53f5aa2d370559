// What the modules share of nanobind: torch tensors as DLPack views, and the pieces of a call that are made from them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cmath>
#include <optional>

#include "kernels.h"

#define SPLATWORLD_JOIN(a, b) a##b
#ifndef SPLATWORLD_ARRAY_DEVICE  // where a module's arrays are
#define SPLATWORLD_ARRAY_DEVICE nb::device::cpu
#endif

namespace nb = nanobind;
using namespace splatworld;

namespace {

template <class T>
using Array = nb::ndarray<T, nb::c_contig, SPLATWORLD_ARRAY_DEVICE>;
template <class T>
using Optional = std::optional<Array<T>>;

template <class T>
T* pointer(const Optional<T>& array) {
  return array ? array->data() : nullptr;
}

inline Record* as_records(const Array<float>& array) { return reinterpret_cast<Record*>(array.data()); }

inline PairGradient* as_pairs(const Array<float>& array) { return reinterpret_cast<PairGradient*>(array.data()); }

inline SplatArrays make_splats(const Array<float>& means, const Array<float>& log_scales, const Array<float>& quats,
                               const Array<float>& opacity_logits, const Array<float>& sh, int sh_count,
                               const Array<int32_t>& body_ids, const Array<float>& frames,
                               const Optional<int32_t>& skin_indices, const Optional<float>& skin_weights) {
  return {static_cast<int64_t>(means.shape(0)),
          static_cast<int>(sh.shape(1)),
          sh_count,
          skin_indices ? static_cast<int>(skin_indices->shape(1)) : 1,
          means.data(),
          log_scales.data(),
          quats.data(),
          opacity_logits.data(),
          sh.data(),
          body_ids.data(),
          frames.data(),
          pointer(skin_indices),
          pointer(skin_weights)};
}

inline AdamStep make_step(float beta1, float beta2, float epsilon, int64_t step) {
  return {beta1, beta2, epsilon, static_cast<float>(1.0 - std::pow(double(beta1), double(step))),
          static_cast<float>(1.0 - std::pow(double(beta2), double(step)))};
}

inline View pixels(int width, int height) {
  View view{};
  view.width = width;
  view.height = height;
  return view;
}

}  // namespace

// The order in which splatworld/geometry/shapes.py passes them.
struct PackedShapes {
  Array<float> boxes, grid_values;
  Array<int64_t> grid_start;
  Array<int32_t> grid_size;
  Array<float> grid_origin, grid_spacing, points, cluster_spheres;
  Array<int32_t> cluster_start;

  ShapeArrays view() const {
    return {static_cast<int>(boxes.shape(0)), boxes.data(),       grid_values.data(), grid_start.data(),
            grid_size.data(),                 grid_origin.data(), grid_spacing.data(), points.data(),
            cluster_spheres.data(),           cluster_start.data()};
  }
};
