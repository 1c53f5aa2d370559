// The queries' part of the kernels' module.
#include "arrays.h"
#include "queries.h"

namespace {

// The order in which splatworld/geometry/field.py passes them.
struct PackedField {
  PackedShapes shapes;
  Array<int32_t> capsule_ends;
  Array<float> capsule_radii;
  Array<int32_t> capsule_start;
  Optional<float> unseen;  // [X, Y, Z]
  Array<float> unseen_origin;
  float unseen_spacing;
  Array<uint8_t> seen;
  Array<int64_t> seen_start;
  Array<int32_t> seen_size;
  Array<float> seen_origin, seen_spacing, roughness;
  float scale_std;

  FieldArrays view() const {
    FieldArrays field{shapes.view(), capsule_ends.data(), capsule_radii.data(), capsule_start.data(), {}, seen.data(),
                      seen_start.data(), seen_size.data(), seen_origin.data(), seen_spacing.data(), roughness.data(),
                      scale_std};
    field.unseen = {pointer(unseen), {}, {}, unseen_spacing};
    for (int k = 0; k < 3; ++k) {
      field.unseen.size[k] = unseen ? static_cast<int>(unseen->shape(k)) : 0;
      field.unseen.origin[k] = unseen_origin.data()[k];
    }
    return field;
  }
};

PosedField posed_field(const Array<double>& poses, const Array<double>& nodes, const Array<float>& std,
                       const Array<uint8_t>& wanted, const Array<uint8_t>& room) {
  return {static_cast<int64_t>(poses.shape(0)), static_cast<int64_t>(nodes.shape(1)), poses.data(), nodes.data(),
          std.data(), wanted.data(), reinterpret_cast<PosedBody*>(room.data())};
}

// numbers [7 or 6, S, P]: distance, unseen, std, gradient x 3, and of sweeps the share.
Answers answers(const Array<float>& numbers, const Array<int32_t>& body, const Array<uint8_t>& known) {
  const size_t size = numbers.shape(1) * numbers.shape(2);
  float* at = numbers.data();
  return {at, at + size, at + 2 * size, at + 3 * size, body.data(), known.data(),
          numbers.shape(0) > 6 ? at + 6 * size : nullptr};
}

}  // namespace

void bind_queries(nb::module_& m) {
  m.attr("POSED_BODY_BYTES") = sizeof(PosedBody);
  nb::class_<PackedField>(m, "PackedField")
      .def("__init__", [](PackedField* self, const PackedShapes& shapes, Array<int32_t> capsule_ends,
                          Array<float> capsule_radii, Array<int32_t> capsule_start, Optional<float> unseen,
                          Array<float> unseen_origin, float unseen_spacing, Array<uint8_t> seen,
                          Array<int64_t> seen_start, Array<int32_t> seen_size, Array<float> seen_origin,
                          Array<float> seen_spacing, Array<float> roughness, float scale_std) {
        new (self) PackedField{shapes, capsule_ends, capsule_radii, capsule_start, unseen, unseen_origin,
                               unseen_spacing, seen, seen_start, seen_size, seen_origin, seen_spacing, roughness,
                               scale_std};
      }, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
         nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());

  m.def("find_distances", [](const PackedField& field, Array<double> poses, Array<double> nodes, Array<float> std,
                             Array<uint8_t> wanted, Array<uint8_t> room, Array<double> balls, Array<float> numbers,
                             Array<int32_t> body, Array<uint8_t> known) {
    nb::gil_scoped_release release;
    find_distances(field.view(), posed_field(poses, nodes, std, wanted, room), static_cast<int64_t>(balls.shape(1)),
                   balls.data(), answers(numbers, body, known));
  });

  m.def("cast_rays", [](const PackedField& field, Array<double> poses, Array<double> nodes, Array<float> std,
                        Array<uint8_t> wanted, Array<uint8_t> room, Array<double> rays, float most,
                        Array<float> numbers, Array<int32_t> body, Array<uint8_t> known) {
    nb::gil_scoped_release release;
    cast_rays(field.view(), posed_field(poses, nodes, std, wanted, room), static_cast<int64_t>(rays.shape(1)),
              rays.data(), most, answers(numbers, body, known));
  });

  m.def("sweep_balls", [](const PackedField& field, Array<double> poses, Array<double> nodes, Array<float> std,
                          Array<uint8_t> wanted, Array<uint8_t> room, int64_t instants, Array<double> balls,
                          float near, float gap, float share, Array<float> numbers, Array<int32_t> body, Array<uint8_t> known) {
    nb::gil_scoped_release release;
    sweep_balls(field.view(), posed_field(poses, nodes, std, wanted, room), instants,
                static_cast<int64_t>(balls.shape(1)), balls.data(), {near, gap, share}, answers(numbers, body, known));
  });
}
