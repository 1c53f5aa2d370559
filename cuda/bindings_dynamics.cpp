// Learned dynamics' part of the kernels' module.
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <vector>

#include "arrays.h"
#include "dynamics.h"

namespace {

// The order in which splatworld/dynamics/scene.py passes them.
struct PackedScene {
  PackedShapes shapes;
  Array<int32_t> shape_ids;
  Array<uint8_t> kinds;
  Array<int32_t> pairs;
  Array<float> inverse_mass, turning;

  SceneArrays view() const {
    return {shapes.view(),   static_cast<int64_t>(shape_ids.shape(0)), static_cast<int64_t>(shape_ids.shape(1)),
            static_cast<int64_t>(pairs.shape(0)), shape_ids.data(), kinds.data(), pairs.data(),
            inverse_mass.data(), turning.data(), nullptr};
  }
};

// The order in which splatworld/dynamics/network.py passes them.
struct PackedNetwork {
  int rounds, readers;
  std::vector<Array<float>> layers;  // [M, inputs + 1, outputs]
  Array<float> units;
  float least_log, most_log;

  NetworkArrays view() const {
    NetworkArrays net{static_cast<int>(layers[0].shape(0)), rounds, static_cast<int>(layers.size()), readers, {},
                      units.data(), least_log, most_log};
    for (size_t l = 0; l < layers.size(); ++l)
      net.layer[l] = {static_cast<int>(layers[l].shape(1)) - 1, static_cast<int>(layers[l].shape(2)), layers[l].data()};
    return net;
  }
};

struct Touches {
  Array<int64_t> partner, kind, phase;
  Array<float> distance, normal, arm, partner_arm, weight;

  TouchArrays view() const {
    return {partner.data(), kind.data(), phase.data(), distance.data(),
            normal.data(),  arm.data(),  partner_arm.data(), weight.data()};
  }
};

// The order in which splatworld/dynamics/nets.py passes them.
struct PackedNet {
  Array<int64_t> node_start, edge_start, bend_start;
  Array<int32_t> edges;
  Array<float> length, softness;
  Array<uint8_t> touches;
  Array<int32_t> bends;
  Array<float> share, flexibility, radius;
  Array<int64_t> neighbour_start;
  Array<int32_t> neighbours;

  int64_t states() const { return static_cast<int64_t>(node_start.shape(0)) - 1; }
  NetArrays view() const {
    return {node_start.data(), edge_start.data(), bend_start.data(),  edges.data(),  length.data(),
            softness.data(),   touches.data(),    bends.data(),       share.data(),  flexibility.data(),
            radius.data(),     neighbour_start.data(), neighbours.data()};
  }
};

Rooms rooms_of(const Array<uint8_t>& room) {
  return {reinterpret_cast<char*>(room.data()), static_cast<int64_t>(room.shape(1)), static_cast<int>(room.shape(0))};
}

}  // namespace

void bind_dynamics(nb::module_& m) {
  m.attr("TOUCH_SLOTS") = TOUCH_SLOTS;
  m.attr("MOST_LAYERS") = MOST_LAYERS;

  nb::class_<PackedScene>(m, "PackedScene")
      .def("__init__", [](PackedScene* self, const PackedShapes& shapes, Array<int32_t> shape_ids, Array<uint8_t> kinds,
                          Array<int32_t> pairs, Array<float> inverse_mass, Array<float> turning) {
        new (self) PackedScene{shapes, shape_ids, kinds, pairs, inverse_mass, turning};
      });
  nb::class_<PackedNetwork>(m, "PackedNetwork")
      .def("__init__", [](PackedNetwork* self, int rounds, int readers, std::vector<Array<float>> layers,
                          Array<float> units, float least_log, float most_log) {
        if (layers.size() > MOST_LAYERS) throw nb::value_error("too many layers");
        new (self) PackedNetwork{rounds, readers, std::move(layers), units, least_log, most_log};
      });
  nb::class_<Touches>(m, "Touches")
      .def("__init__", [](Touches* self, Array<int64_t> partner, Array<int64_t> kind, Array<int64_t> phase,
                          Array<float> distance, Array<float> normal, Array<float> arm, Array<float> partner_arm,
                          Array<float> weight) {
        new (self) Touches{partner, kind, phase, distance, normal, arm, partner_arm, weight};
      });
  nb::class_<Separation>(m, "Separation")
      .def("__init__", [](Separation* self, float reach, float noticed, float target, float slop, int looks,
                          int iterations, float relaxation) {
        if (looks > MOST_LOOKS || iterations > MOST_ITERATIONS) throw nb::value_error("too many looks or iterations");
        new (self) Separation{reach, noticed, target, slop, looks, iterations, relaxation};
      });
  nb::class_<SweepRules>(m, "SweepRules").def("__init__", [](SweepRules* self, float slop, float reach, double still, int cuts) {
    new (self) SweepRules{slop, reach, still, cuts};
  });
  nb::class_<IslandLimits>(m, "IslandLimits")
      .def("__init__", [](IslandLimits* self, float reach, float touching, float upward, double still_speed,
                          double still_spin, double approach, double tipping, double lifting) {
        new (self) IslandLimits{reach, touching, upward, still_speed, still_spin, approach, tipping, lifting};
      });
  nb::class_<TouchRules>(m, "TouchRules")
      .def("__init__", [](TouchRules* self, float reach, float deepest, std::array<float, 3> later, int of_a_row) {
        new (self) TouchRules{reach, deepest, {later[0], later[1], later[2]}, of_a_row};
      });
  nb::class_<CoastingRules>(m, "CoastingRules")
      .def("__init__", [](CoastingRules* self, float reach, float near, float slop, float friction, float settled,
                          int steps, int iterations) {
        new (self) CoastingRules{reach, near, slop, friction, settled, steps, iterations};
      });
  nb::class_<FeatureScales>(m, "FeatureScales")
      .def("__init__", [](FeatureScales* self, float distance, float arm, float shift, float turn, float speed,
                          float spin) {
        new (self) FeatureScales{distance, arm, shift, turn, speed, spin};
      });
  nb::class_<ActionRules>(m, "ActionRules")
      .def("__init__", [](ActionRules* self, double seconds, int substeps, const SweepRules& sweep,
                          const IslandLimits& islands, const TouchRules& touch, const CoastingRules& whole,
                          const CoastingRules& brief, const FeatureScales& scales, const Separation& separation,
                          std::array<double, 2> scale, std::array<double, 2> correlation, double creep_speed,
                          double creep_spin) {
        new (self) ActionRules{seconds,    substeps,   sweep,    islands, touch, {whole, brief}, scales,
                               separation, {scale[0], scale[1]}, {correlation[0], correlation[1]}, creep_speed, creep_spin};
      });

  nb::class_<PackedNet>(m, "PackedNet")
      .def("__init__", [](PackedNet* self, Array<int64_t> node_start, Array<int64_t> edge_start, Array<int64_t> bend_start,
                          Array<int32_t> edges, Array<float> length, Array<float> softness, Array<uint8_t> touches,
                          Array<int32_t> bends, Array<float> share, Array<float> flexibility, Array<float> radius,
                          Array<int64_t> neighbour_start, Array<int32_t> neighbours) {
        new (self) PackedNet{node_start, edge_start, bend_start, edges,  length,          softness,  touches,
                             bends,      share,      flexibility, radius, neighbour_start, neighbours};
      });
  nb::class_<NodeRules>(m, "NodeRules")
      .def("__init__", [](NodeRules* self, int steps, int iterations, float friction, float grip, float memory,
                          float slack) {
        new (self) NodeRules{steps, iterations, friction, grip, memory, slack};
      });

  m.def("separation_room", [](const PackedScene& scene, int looks) {
    return separation_room(scene.view().bodies, scene.view().pairs, looks);
  });
  m.def("sweep_room", [](const PackedScene& scene) { return sweep_room(scene.view()); });
  m.def("islands_room", [](const PackedScene& scene) { return islands_room(scene.view()); });
  m.def("touches_room", [](const PackedScene& scene) { return touches_room(scene.view()); });
  m.def("coasting_room", [](const PackedScene& scene) { return coasting_room(scene.view()); });
  m.def("network_room", [](const PackedNetwork& network) { return network_room(network.view()); });

  m.def("action_room", [](const PackedScene& scene, const PackedNetwork& network, int parts) {
    return action_room(scene.view(), network.view(), parts);
  });
  m.def("act_bodies", [](const PackedScene& scene, const ActionRules& rules, const PackedNetwork& network,
                         Array<double> poses, Array<double> twists, Array<double> variance, Array<double> ends,
                         Array<uint8_t> unsure, Array<float> latents, Array<float> typical_mass, Array<float> extremes,
                         Array<float> spread, Array<float> gravity, Array<uint8_t> room, Array<double> poses_after,
                         Array<double> twists_after, Array<double> variance_after, Array<uint8_t> awake,
                         Array<float> done, Array<uint8_t> failed) {
    nb::gil_scoped_release release;
    act_bodies(scene.view(), rules, network.view(),
               {poses.data(), twists.data(), variance.data(), ends.data(), unsure.data(), latents.data(),
                static_cast<int>(latents.shape(2)), typical_mass.data(), extremes.data(),
                static_cast<int>(extremes.shape(1)), spread.data(), gravity.data()},
               rooms_of(room),
               {poses_after.data(), twists_after.data(), variance_after.data(), awake.data(), done.data(),
                failed.data()});
  });

  m.def("nodes_room", [](const PackedScene& scene, const PackedNet& net) {
    return nodes_room(net.view(), net.states(), scene.view().bodies);
  });
  m.def("swing_nodes", [](const PackedScene& scene, const PackedNet& net, const NodeRules& rules, Array<double> points,
                          Array<double> velocities, Array<double> starts, Array<double> ends, Array<uint8_t> wanted,
                          Array<float> gravity, double seconds, Array<uint8_t> room, Array<double> points_after,
                          Array<double> velocities_after, Array<int32_t> holder, Array<float> push, Array<float> rub,
                          Array<float> carried, Array<float> gap) {
    if (net.states() != scene.view().states) throw nb::value_error("net and scene have different numbers of states");
    nb::gil_scoped_release release;
    swing_nodes(scene.view(), net.view(), rules,
                {points.data(), velocities.data(), starts.data(), ends.data(), wanted.data(), gravity.data(), seconds},
                rooms_of(room),
                {points_after.data(), velocities_after.data(), holder.data(), push.data(), rub.data(), carried.data(),
                 gap.data()});
  });
  m.def("separate", [](const PackedScene& scene, const Separation& how, Array<double> poses, Array<double> motion,
                       Array<uint8_t> looked_at, Array<double> way, Array<uint8_t> room, Array<double> after,
                       Array<float> squeezed) {
    nb::gil_scoped_release release;
    separate(scene.view(), how, poses.data(), motion.data(), looked_at.data(), way.data(), rooms_of(room), after.data(),
             squeezed.data());
  });
  m.def("separate_backward", [](const PackedScene& scene, const Separation& how, Array<double> poses,
                                Array<double> motion, Array<uint8_t> looked_at, Array<double> by_after,
                                Array<uint8_t> room, Array<double> by_poses, Array<double> by_motion) {
    nb::gil_scoped_release release;
    separate_backward(scene.view(), how, poses.data(), motion.data(), looked_at.data(), by_after.data(), rooms_of(room),
                      by_poses.data(), by_motion.data());
  });
  m.def("sweep_tools", [](const PackedScene& scene, const SweepRules& rules, Array<double> poses, Array<double> ends,
                          Array<uint8_t> room, Array<float> done, Array<double> ways, Array<double> reached) {
    nb::gil_scoped_release release;
    sweep_tools(scene.view(), rules, poses.data(), ends.data(), rooms_of(room), done.data(), ways.data(),
                reached.data());
  });
  m.def("find_islands", [](const PackedScene& scene, const IslandLimits& limits, Array<double> poses,
                           Array<double> twists, Array<double> ends, Array<uint8_t> unsure, double seconds,
                           bool gravity, Array<uint8_t> room, Array<uint8_t> awake, Array<uint8_t> fine,
                           Array<uint8_t> driven) {
    nb::gil_scoped_release release;
    find_islands(scene.view(), limits,
                 {poses.data(), twists.data(), ends.data(), unsure.data(), seconds, gravity}, rooms_of(room),
                 {awake.data(), fine.data(), driven.data()});
  });
  m.def("find_touches", [](const PackedScene& scene, const TouchRules& rules, Array<double> poses, Array<double> ends,
                           Array<uint8_t> wanted, Array<int64_t> first, Array<uint8_t> room, const Touches& out) {
    nb::gil_scoped_release release;
    find_touches(scene.view(), rules, poses.data(), ends.data(), wanted.data(), first.data(), rooms_of(room),
                 out.view());
  });
  m.def("coast_bodies", [](const PackedScene& scene, const CoastingRules& rules, Array<int64_t> first,
                           Array<int64_t> body, Array<double> poses, Array<double> twists, Array<double> ends,
                           Array<float> typical_mass, Array<float> latents, Array<float> spread, Array<float> gravity,
                           double seconds, Array<uint8_t> room, Array<float> motion, Array<float> twist) {
    nb::gil_scoped_release release;
    coast_bodies(scene.view(), rules,
                 {first.data(), body.data(), poses.data(), twists.data(), ends.data(), typical_mass.data(),
                  latents.data(), static_cast<int>(latents.shape(2)), spread.data(), gravity.data(), seconds,
                  motion.data(), twist.data()},
                 rooms_of(room));
  });
  m.def("read_motion", [](const PackedScene& scene, const FeatureScales& scales, const PackedNetwork& network,
                          Array<int64_t> state, Array<int64_t> body, Array<double> poses, Array<double> twists,
                          Array<double> ends, Array<float> coasting, Array<float> after, Array<float> latents,
                          Array<float> typical_mass, Array<float> extremes, Array<float> spread, Array<float> gravity,
                          double seconds, const Touches& touch,
                          Array<uint8_t> room, Array<float> displacements, Array<int64_t> again, Array<float> motion,
                          Array<float> twist, Array<float> variance, Array<float> members, Array<float> log_variance,
                          Array<float> heading) {
    nb::gil_scoped_release release;
    const int64_t table = static_cast<int64_t>(displacements.shape(1));
    read_motion(scene.view(), scales, network.view(),
                {static_cast<int64_t>(state.shape(0)), state.data(), body.data(), poses.data(), twists.data(),
                 ends.data(), coasting.data(), after.data(), latents.data(), static_cast<int>(latents.shape(2)), typical_mass.data(),
                 extremes.data(), static_cast<int>(extremes.shape(1)), spread.data(), gravity.data(), seconds,
                 touch.view()},
                rooms_of(room), displacements.data(), displacements.data() + table, again.data(),
                {motion.data(), twist.data(), variance.data(), members.data(), log_variance.data(), heading.data()});
  });
}
