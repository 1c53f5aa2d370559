// The geometry's part of the kernels' module.
#include "arrays.h"

namespace {

Grid make_grid(const Array<float>& values, const Array<float>& origin, float spacing) {
  Grid grid{values.data(), {}, {}, spacing};
  for (int k = 0; k < 3; ++k) {
    grid.size[k] = static_cast<int>(values.shape(k));
    grid.origin[k] = origin.data()[k];
  }
  return grid;
}

}  // namespace

void bind_geometry(nb::module_& m) {
  m.def("fill_distances", [](Array<float> vertices, Array<int32_t> faces, Array<int32_t> order, Array<float> boxes,
                             Array<float> origin, float spacing, Array<float> values) {
    nb::gil_scoped_release release;
    fill_distances({static_cast<int64_t>(faces.shape(0)), vertices.data(), faces.data()},
                   {static_cast<int64_t>(boxes.shape(0)) / 2, order.data(), boxes.data()},
                   make_grid(values, origin, spacing), values.data());
  });

  m.def("sample_distances", [](Array<float> values, Array<float> origin, float spacing, Array<float> points,
                               Array<float> distance, Array<float> gradient) {
    nb::gil_scoped_release release;
    sample_distances(make_grid(values, origin, spacing), static_cast<int64_t>(points.shape(0)), points.data(),
                     distance.data(), gradient.data());
  });
}
