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

PosedArrays posed_bodies(const Array<double>& poses, const Array<int32_t>& shape_ids) {
  return {static_cast<int64_t>(poses.shape(0)), static_cast<int64_t>(poses.shape(1)), poses.data(), shape_ids.data()};
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

  m.attr("CLUSTER") = CLUSTER;
  m.attr("MOST_CONTACTS") = MOST_CONTACTS;
  nb::class_<PackedShapes>(m, "PackedShapes")
      .def("__init__", [](PackedShapes* self, Array<float> boxes, Array<float> grid_values, Array<int64_t> grid_start,
                          Array<int32_t> grid_size, Array<float> grid_origin, Array<float> grid_spacing,
                          Array<float> points, Array<float> cluster_spheres, Array<int32_t> cluster_start) {
        new (self) PackedShapes{boxes,  grid_values,     grid_start,   grid_size, grid_origin, grid_spacing,
                                points, cluster_spheres, cluster_start};
      });

  m.def("broad_phase", [](const PackedShapes& shapes, Array<double> poses, Array<int32_t> shape_ids,
                          Array<int32_t> pairs, double reach, Array<double> posed_boxes, Array<int32_t> candidates) {
    nb::gil_scoped_release release;
    return broad_phase(shapes.view(), posed_bodies(poses, shape_ids), static_cast<int64_t>(pairs.shape(0)),
                       pairs.data(), reach, posed_boxes.data(), candidates.data());
  });

  m.def("sample_contacts", [](const PackedShapes& shapes, Array<double> poses, Array<int32_t> shape_ids,
                              Array<int32_t> candidates, float reach, Array<int32_t> count, Array<float> distance,
                              Array<float> normal, Array<float> point, Array<float> arm_a, Array<float> arm_b) {
    nb::gil_scoped_release release;
    return sample_contacts(shapes.view(), posed_bodies(poses, shape_ids), static_cast<int64_t>(candidates.shape(0)),
                           candidates.data(), reach,
                           {count.data(), distance.data(), normal.data(), point.data(), arm_a.data(), arm_b.data()});
  });
}
