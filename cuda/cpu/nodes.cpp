// Where nodes of deformable bodies go: extended position-based dynamics in small steps (Macklin, Müller, Chentanez,
// "XPBD", 2016; Macklin et al., "Small steps in physics simulation", 2019); see splatworld/dynamics/swing.py.
#include <algorithm>
#include <cmath>

#include "cpu/closest.h"
#include "cpu/placed.h"

namespace splatworld {
namespace {

using Vec = Vec3<double>;

constexpr double REACH = 0.02;       // m on top of what moves, to which edges and bodies are looked at
constexpr double PART = 0.05;        // m/s at which layers that overlap part
constexpr double LAYER_FRICTION = 0.3;
constexpr double PINCH = 5e-4;       // m from two tools on opposite sides at which a node is held by both
constexpr int MOST_PAIRS = 4096;     // of edges near each other

Vec at(const double* p) { return {p[0], p[1], p[2]}; }
void put(double* p, const Vec& v) { p[0] = v.x, p[1] = v.y, p[2] = v.z; }
Vec transformed(const Pose& pose, const Vec& v) { return apply(pose.turn, v) + pose.move; }
Vec inverted(const Pose& pose, const Vec& v) { return apply_transposed(pose.turn, v - pose.move); }
double length_of(const Vec& v) { return std::sqrt(dot(v, v)); }

struct Obstacle {
  int body, shape;
  bool moves;
  double way[6];
  Pose before, now;  // of the present small step
};

// A sphere that touches bodies: a node, or the middle of an edge.
struct Sample {
  int32_t a, b;
};

struct Swing {
  const SceneArrays& scene;
  const NetArrays& net;
  const NodeRules& rules;
  const NodeInputs& in;
  const NodeOutputs& out;
  int64_t most_nodes, most_edges;
  Vec *now, *last, *speed;
  double* bent;    // [T] m, how far bends are off that nothing straightens
  double* weight;  // inverse masses: 0 of what is held
  Sample* samples;
  double* pressed;  // [samples, B] m, normal corrections in the present small step
  double* rubbed;   // the same of friction
  Obstacle* obstacles;
  int32_t* pairs;
  uint8_t* holds;  // [B] tools that hold a node: they do not push what leads to it
  int64_t first, nodes, edges0, edges1, bends0, bends1;
  int count, sample_count, pair_count;
  double dt;

  static int64_t widest(const int64_t* start, int64_t states) {
    int64_t most = 0;
    for (int64_t s = 0; s < states; ++s) most = std::max(most, start[s + 1] - start[s]);
    return most;
  }

  Swing(Cutter& cut, const SceneArrays& scene_, const NetArrays& net_, int64_t states, int64_t bodies,
        const NodeRules& rules_, const NodeInputs& in_, const NodeOutputs& out_)
      : scene(scene_), net(net_), rules(rules_), in(in_), out(out_) {
    bent = cut.take<double>(widest(net.bend_start, states));
    most_nodes = widest(net.node_start, states), most_edges = widest(net.edge_start, states);
    const int64_t most = most_nodes + most_edges;
    now = cut.take<Vec>(most_nodes), last = cut.take<Vec>(most_nodes), speed = cut.take<Vec>(most_nodes);
    weight = cut.take<double>(most_nodes);
    samples = cut.take<Sample>(most);
    pressed = cut.take<double>(most * bodies), rubbed = cut.take<double>(most * bodies);
    obstacles = cut.take<Obstacle>(bodies);
    pairs = cut.take<int32_t>(2 * MOST_PAIRS);
    holds = cut.take<uint8_t>(bodies);
  }

  bool seen(const Obstacle& obstacle, const Pose& pose, const Vec& p, double within, double& distance, Vec& normal) const {
    const Vec local = inverted(pose, p);
    const float* box = scene.shapes.boxes + 6 * obstacle.shape;
    const Vec3<float> q{static_cast<float>(local.x), static_cast<float>(local.y), static_cast<float>(local.z)};
    if (box_distance2(box, q) >= within * within) return false;
    const Sampled<float> s = sample_grid(grid_of(scene.shapes, obstacle.shape), q);
    distance = s.distance;
    const double slope = std::sqrt(static_cast<double>(dot(s.gradient, s.gradient)));
    normal = slope > 1e-6 ? apply(pose.turn, Vec{s.gradient.x / slope, s.gradient.y / slope, s.gradient.z / slope})
                          : Vec{0, 0, 1};  // as far from one side as from the other
    return true;
  }

  void find_obstacles(int64_t s) {
    const int64_t row = s * scene.bodies;
    Vec low = now[0], high = now[0];
    double fastest = 0, thick = 0;
    for (int64_t i = 0; i < nodes; ++i) {
      low = {std::min(low.x, now[i].x), std::min(low.y, now[i].y), std::min(low.z, now[i].z)};
      high = {std::max(high.x, now[i].x), std::max(high.y, now[i].y), std::max(high.z, now[i].z)};
      fastest = std::max(fastest, length_of(speed[i]));
      thick = std::max(thick, static_cast<double>(net.radius[first + i]));
    }
    const double reach = REACH + thick + in.seconds * (fastest + 10 * in.seconds);
    const double around[6] = {low.x, low.y, low.z, high.x, high.y, high.z};
    count = 0;
    for (int64_t b = 0; b < scene.bodies; ++b) {
      const int shape = scene.shape_ids[row + b];
      holds[b] = 0;
      if (scene.shapes.grid_start[shape] < 0) continue;
      const double *start = in.starts + 7 * (row + b), *end = in.ends + 7 * (row + b);
      Obstacle& o = obstacles[count];
      o.body = static_cast<int>(b), o.shape = shape;
      o.moves = !std::equal(start, start + 7, end);
      std::fill(o.way, o.way + 6, 0.0);
      if (o.moves) travel(start, end, o.way);
      o.now = read_pose(start);
      double box[6], far = 0;
      pose_box(o.now, scene.shapes.boxes + 6 * shape, box);
      for (int k = 0; k < 6; ++k) far += o.way[k] * o.way[k] * (k < 3 ? 1 : 0.25);
      // A tool that comes may push nodes ahead of it: what it sweeps is near.
      if (boxes_meet(around, box, reach + 2 * std::sqrt(far))) ++count;
    }
  }

  // Nodes inside a tool, or between two, go with it.
  void find_holders(int64_t s) {
    const uint8_t* kinds = scene.kinds + s * scene.bodies;
    for (int64_t i = 0; i < nodes; ++i) {
      int32_t holder = -1;
      Vec other{};
      int32_t beside = -1;
      for (int k = 0; k < count && holder < 0; ++k) {
        const Obstacle& o = obstacles[k];
        double d;
        Vec n;
        if (kinds[o.body] != TOOL || !seen(o, o.now, now[i], 0.01, d, n)) continue;
        if (d < -rules.grip) holder = o.body;
        if (d > net.radius[first + i] + PINCH) continue;
        if (beside >= 0 && dot(n, other) < -0.7) holder = beside, holds[o.body] = 1;
        beside = o.body, other = n;
      }
      out.holder[first + i] = holder;
      weight[i] = holder < 0 ? 1 : 0;
      if (holder >= 0) holds[holder] = 1;
    }
  }

  Vec middle(int64_t e) const { return 0.5 * (now[node(e, 0)] + now[node(e, 1)]); }
  int32_t node(int64_t e, int end) const { return net.edges[2 * e + end] - static_cast<int32_t>(first); }

  void find_samples() {
    sample_count = static_cast<int>(nodes + edges1 - edges0);
    for (int32_t i = 0; i < nodes; ++i) samples[i] = {i, i};
    for (int64_t e = edges0; e < edges1; ++e) samples[nodes + e - edges0] = {node(e, 0), node(e, 1)};
  }

  void find_bent() {
    for (int64_t t = bends0; t < bends1; ++t) {
      Vec p[3];
      for (int k = 0; k < 3; ++k) p[k] = now[net.bends[3 * t + k] - first];
      const double u = net.share[t];
      bent[t - bends0] = rules.memory * length_of((1 - u) * p[0] + u * p[2] - p[1]);
    }
  }

  bool joined(int32_t a, int32_t b) const {
    for (int64_t k = net.neighbour_start[first + a]; k < net.neighbour_start[first + a + 1]; ++k)
      if (net.neighbours[k] - first == b) return true;
    return false;
  }

  // Where two segments are nearest to each other (Ericson, "Real-Time Collision Detection", 2005, 5.1.9).
  static void nearest(const Vec& p, const Vec& d1, const Vec& q, const Vec& d2, double& s, double& t) {
    const Vec r = p - q;
    const double a = dot(d1, d1), e = dot(d2, d2), f = dot(d2, r), c = dot(d1, r), b = dot(d1, d2);
    const double det = a * e - b * b;
    auto held = [](double v) { return std::min(std::max(v, 0.0), 1.0); };
    s = det > 1e-12 * a * e ? held((b * f - c * e) / det) : 0.5;
    t = e > 0 ? (b * s + f) / e : 0;
    if (t < 0 || t > 1) {
      t = held(t);
      s = a > 0 ? held((b * t - c) / a) : 0;
    }
  }

  void find_pairs() {
    pair_count = 0;
    double fastest = 0;
    for (int64_t i = 0; i < nodes; ++i) fastest = std::max(fastest, length_of(speed[i]));
    const double reach = 0.01 + std::min(0.02, in.seconds * fastest);
    for (int64_t e = edges0; e < edges1; ++e) {
      if (!net.touches[e]) continue;
      const int32_t a = node(e, 0), b = node(e, 1);
      for (int64_t g = e + 1; g < edges1; ++g) {
        if (!net.touches[g]) continue;
        const int32_t c = node(g, 0), d = node(g, 1);
        const Vec gap = middle(g) - middle(e);
        const double far = 0.5 * (net.length[e] + net.length[g]) + 2 * net.radius[first + a] + reach;
        if (dot(gap, gap) > far * far) continue;
        if (joined(a, c) || joined(a, d) || joined(b, c) || joined(b, d)) continue;
        if (pair_count == MOST_PAIRS) return;
        pairs[2 * pair_count] = static_cast<int32_t>(e), pairs[2 * pair_count + 1] = static_cast<int32_t>(g);
        ++pair_count;
      }
    }
  }

  void keep_length(int64_t e) {
    const int32_t a = node(e, 0), b = node(e, 1);
    const double sum = weight[a] + weight[b];
    if (sum == 0) return;
    const Vec along = now[b] - now[a];
    const double length = length_of(along), rest = net.length[e];
    if (!(length > 1e-9)) return;
    double off = length - rest, soft = net.softness[e] / (dt * dt);
    if (rules.slack > 0) {
      // An edge that is soft may be off by more, but no longer than that.
      const double short_by = net.softness[e] > 0 ? 0.5 : rules.slack;
      off = std::max(length - (1 + rules.slack) * rest, 0.0) + std::min(length - (1 - short_by) * rest, 0.0);
      soft = 0;
    }
    const double move = off / ((sum + soft) * length);
    now[a] = now[a] + (weight[a] * move) * along;
    now[b] = now[b] - (weight[b] * move) * along;
  }

  void keep_lengths(bool back) {
    for (int64_t e = 0; e < edges1 - edges0; ++e) keep_length(back ? edges1 - 1 - e : edges0 + e);
  }

  void straighten(int64_t t) {
    const int32_t* triple = net.bends + 3 * t;
    const int32_t a = triple[0] - static_cast<int32_t>(first), b = triple[1] - static_cast<int32_t>(first),
                  c = triple[2] - static_cast<int32_t>(first);
    const double u = net.share[t], v = 1 - u;
    // The energy is that of a + c - 2 b; this constraint is half of that.
    Vec off = v * now[a] + u * now[c] - now[b];
    if (bent[t - bends0] > 0) off = std::max(0.0, 1 - bent[t - bends0] / std::max(length_of(off), 1e-12)) * off;
    const double sum = v * v * weight[a] + u * u * weight[c] + weight[b];
    if (sum == 0) return;
    const double move = 1 / (sum + 0.25 * net.flexibility[t] / (dt * dt));
    now[a] = now[a] - (weight[a] * v * move) * off;
    now[c] = now[c] - (weight[c] * u * move) * off;
    now[b] = now[b] + (weight[b] * move) * off;
  }

  Vec place(const Sample& s, const Vec* of) const { return s.a == s.b ? of[s.a] : 0.5 * (of[s.a] + of[s.b]); }

  // Moves a sample by moving its nodes; returns how far each of them went per metre.
  void shift(const Sample& s, const Vec& by, float* into) {
    if (s.a == s.b) {
      now[s.a] = now[s.a] + by;
      note(into, s.a, by);
      return;
    }
    const double sum = 0.25 * (weight[s.a] + weight[s.b]);
    for (int32_t i : {s.a, s.b}) {
      const Vec part = (0.5 * weight[i] / sum) * by;
      now[i] = now[i] + part;
      note(into, i, part);
    }
  }

  void note(float* into, int32_t i, const Vec& by) {
    if (!into) return;
    float* p = into + 3 * (first + i);
    p[0] += static_cast<float>(by.x), p[1] += static_cast<float>(by.y), p[2] += static_cast<float>(by.z);
  }

  void part_from_bodies(bool rough) {
    for (int j = 0; j < sample_count; ++j) {
      const Sample& sample = samples[j];
      if (weight[sample.a] + weight[sample.b] == 0) continue;
      const double thick = net.radius[first + sample.a];
      for (int k = 0; k < count; ++k) {
        const Obstacle& o = obstacles[k];
        if (holds[o.body] && weight[sample.a] * weight[sample.b] == 0) continue;
        const Vec p = place(sample, now);
        double d;
        Vec n;
        if (!seen(o, o.now, p, thick, d, n) || d >= thick) continue;
        const double deep = thick - d;
        const bool tool = scene.kinds[current * scene.bodies + o.body] != STATIC;
        shift(sample, deep * n, tool ? out.push : out.carried);
        if (!rough) continue;
        double& normal = pressed[static_cast<int64_t>(j) * scene.bodies + o.body];
        double& used = rubbed[static_cast<int64_t>(j) * scene.bodies + o.body];
        normal += deep;
        Vec slid = place(sample, now) - place(sample, last);
        if (o.moves) slid = slid - (p - transformed(o.before, inverted(o.now, p)));
        slid = slid - dot(slid, n) * n;
        const double far = length_of(slid), left = rules.friction * normal - used;
        if (!(far > 0) || !(left > 0)) continue;
        const double share = std::min(1.0, left / far);
        used += share * far;
        shift(sample, (-share) * slid, out.rub);
      }
    }
  }

  void part_layers() {
    for (int k = 0; k < pair_count; ++k) {
      const int32_t e = pairs[2 * k], g = pairs[2 * k + 1];
      const int32_t a = node(e, 0), b = node(e, 1), c = node(g, 0), d = node(g, 1);
      double s, t;
      nearest(now[a], now[b] - now[a], now[c], now[d] - now[c], s, t);
      auto between = [&](const Vec* of, int32_t i, int32_t j, double share) { return of[i] + share * (of[j] - of[i]); };
      const Vec gap = between(now, c, d, t) - between(now, a, b, s);
      const double thick = net.radius[first + a] + net.radius[first + c], far2 = dot(gap, gap);
      if (far2 >= thick * thick || !(far2 > 1e-12)) continue;
      const double far = std::sqrt(far2);
      const Vec n = (1 / far) * gap;
      const double shares[4] = {1 - s, s, 1 - t, t};
      const int32_t which[4] = {a, b, c, d};
      double sum = 0;
      for (int i = 0; i < 4; ++i) sum += shares[i] * shares[i] * weight[which[i]];
      if (sum == 0) continue;
      sum = std::max(sum, 0.25);  // beside a node that is held the other end would have to go far
      // What overlapped before parts slowly; what comes nearer is stopped.
      const Vec was = between(last, c, d, t) - between(last, a, b, s);
      const double deep = std::min(thick - far, std::max(length_of(was) - far, 0.0) + PART * dt);
      Vec slid = gap - was;
      slid = slid - dot(slid, n) * n;
      const double slide = length_of(slid);
      const double rub = slide > 0 ? std::min(1.0, LAYER_FRICTION * deep / slide) : 0;
      for (int i = 0; i < 4; ++i) {
        const double share = (i < 2 ? -1 : 1) * shares[i] * weight[which[i]] / sum;
        now[which[i]] = now[which[i]] + (share * deep) * n - (share * rub) * slid;
      }
    }
  }

  void place_bodies(int64_t s, int step) {
    for (int k = 0; k < count; ++k) {
      Obstacle& o = obstacles[k];
      o.before = o.now;
      if (!o.moves) continue;
      const double *start = in.starts + 7 * (s * scene.bodies + o.body);
      double pose[7], part[6];
      std::copy(start, start + 7, pose);
      for (int i = 0; i < 6; ++i) part[i] = o.way[i] * (step + 1) / rules.steps;
      move_pose(pose, part);
      o.now = read_pose(pose);
    }
  }

  void hold() {
    for (int64_t i = 0; i < nodes; ++i) {
      if (weight[i] > 0 || out.holder[first + i] < 0) continue;
      for (int k = 0; k < count; ++k)
        if (obstacles[k].body == out.holder[first + i])
          now[i] = transformed(obstacles[k].now, inverted(obstacles[k].before, last[i]));
    }
  }

  int64_t current = 0;

  void run(int64_t s) {
    current = s;
    first = net.node_start[s], nodes = net.node_start[s + 1] - first;
    edges0 = net.edge_start[s], edges1 = net.edge_start[s + 1];
    bends0 = net.bend_start[s], bends1 = net.bend_start[s + 1];
    if (!nodes) return;
    for (int64_t i = 0; i < nodes; ++i) {
      now[i] = at(in.points + 3 * (first + i)), speed[i] = at(in.velocities + 3 * (first + i));
      for (int k = 0; k < 3; ++k)
        out.push[3 * (first + i) + k] = out.rub[3 * (first + i) + k] = out.carried[3 * (first + i) + k] = 0;
      out.gap[first + i] = static_cast<float>(REACH), out.holder[first + i] = -1;
    }
    if (in.wanted[s]) {
      find_obstacles(s);
      find_holders(s);
      find_samples();
      find_pairs();
      find_bent();
      dt = in.seconds / rules.steps;
      const Vec fall = dt * Vec{in.gravity[0], in.gravity[1], in.gravity[2]};
      for (int step = 0; step < rules.steps; ++step) advance(s, step, fall);
      look_around(s);
    }
    for (int64_t i = 0; i < nodes; ++i) {
      put(out.points + 3 * (first + i), now[i]);
      put(out.velocities + 3 * (first + i), speed[i]);
    }
  }

  void advance(int64_t s, int step, const Vec& fall) {
    const bool corrects = rules.slack > 0;  // only what is wrong, nothing moves by itself
    place_bodies(s, step);
    for (int64_t i = 0; i < nodes; ++i) {
      last[i] = now[i];
      if (weight[i] > 0 && !corrects) now[i] = now[i] + dt * (speed[i] + fall);
    }
    hold();
    std::fill(pressed, pressed + sample_count * scene.bodies, 0.0);
    std::fill(rubbed, rubbed + sample_count * scene.bodies, 0.0);
    for (int k = 0; k < rules.iterations; ++k) {
      // To and fro, so that a pull runs through a rope in one go.
      const bool back = (step * rules.iterations + k) % 2;
      if (corrects) {
        // Lengths last: a little overlap is seen less than a tear, and layers that are tangled never part.
        if (3 * k < rules.iterations) part_layers();
        part_from_bodies(false);
        keep_lengths(false);
        keep_lengths(true);
        continue;
      }
      for (int64_t t = 0; t < bends1 - bends0; ++t) straighten(back ? bends1 - 1 - t : bends0 + t);
      keep_lengths(back);
      if (k == 0) part_layers();
      part_from_bodies(true);
    }
    if (corrects) return;
    for (int64_t i = 0; i < nodes; ++i) speed[i] = (1 / dt) * (now[i] - last[i]);
  }

  void look_around(int64_t s) {
    const uint8_t* kinds = scene.kinds + s * scene.bodies;
    for (int64_t i = 0; i < nodes; ++i) {
      double least = REACH;
      for (int k = 0; k < count; ++k) {
        double d;
        Vec n;
        if (kinds[obstacles[k].body] != STATIC && seen(obstacles[k], obstacles[k].now, now[i], REACH, d, n))
          least = std::min(least, d - net.radius[first + i]);
      }
      out.gap[first + i] = static_cast<float>(least);
    }
  }
};

}  // namespace

int64_t nodes_room(const NetArrays& net, int64_t states, int64_t bodies) {
  Cutter cut(nullptr);
  const SceneArrays scene{};
  Swing swing(cut, scene, net, states, bodies, {}, {}, {});
  return cut.used();
}

void swing_nodes(const SceneArrays& scene, const NetArrays& net, const NodeRules& rules, const NodeInputs& in,
                 const Rooms& rooms, const NodeOutputs& out) {
  for_each(scene.states, rooms, [&](char* bytes, int64_t s) {
    Cutter cut(bytes);
    Swing swing(cut, scene, net, scene.states, scene.bodies, rules, in, out);
    swing.run(s);
  });
}

}  // namespace splatworld
