// What the modules share of nanobind: torch tensors as DLPack views, and the pieces of a call that are made from them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>

#include "kernels.h"

#define SPLATWORLD_JOIN(a, b) a##b

namespace nb = nanobind;
using namespace splatworld;

namespace {

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
template <class T>
using Optional = std::optional<Array<T>>;

template <class T>
T* pointer(const Optional<T>& array) {
  return array ? array->data() : nullptr;
}

inline Record* as_records(const Array<float>& array) { return reinterpret_cast<Record*>(array.data()); }

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
