// What the network says of bodies, a few of them at a time through all layers of the ensemble. The same as
// splatworld/dynamics/model.py, without gradients.
#include <algorithm>

#include "cpu/features.h"
#include "cpu/lanes.h"
#include "cpu/states.h"

namespace splatworld {
namespace {

constexpr int FEW = 48;  // bodies read together

FloatV silu(FloatV a) {
  // Beyond -60 it is 0 to all digits.
  const FloatV low = select(a > broadcast(-60.0f), a, broadcast(-60.0f));
  return a / (1.0f + vexp(-low));
}

// R rows by V vectors of outputs; the sum over inputs has one order, however rows and outputs are dealt.
template <int R, int V>
void block(const float* x, const float* w, const float* bias, const Layer& of, bool last, float* y) {
  FloatV sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sums[r][v] = load(bias + v * LANES, LANES);
  for (int i = 0; i < of.inputs; ++i) {
    FloatV weights[V];
    for (int v = 0; v < V; ++v) weights[v] = load(w + i * of.outputs + v * LANES, LANES);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sums[r][v] += broadcast(x[r * of.inputs + i]) * weights[v];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(last ? sums[r][v] : silu(sums[r][v]), y + r * of.outputs + v * LANES, LANES);
}

template <int V, int R = 6>
void rows_of(int rows, const float* x, const float* w, const float* bias, const Layer& of, bool last, float* y) {
  for (; rows >= R; rows -= R, x += R * of.inputs, y += R * of.outputs) block<R, V>(x, w, bias, of, last, y);
  if constexpr (R > 1)
    if (rows) rows_of<V, R - 1>(rows, x, w, bias, of, last, y);
}

// y [rows, outputs] = x [rows, inputs] by w [inputs, outputs] and bias; through silu unless it is the last layer.
void layer(int rows, const float* x, const Layer& of, int member, bool last, float* y) {
  constexpr int wide = LANES == 16 ? 4 : 2;
  const float* w = of.weights + static_cast<int64_t>(member) * (of.inputs + 1) * of.outputs;
  const float* bias = w + static_cast<int64_t>(of.inputs) * of.outputs;
  int o = 0;
  for (; o + wide * LANES <= of.outputs; o += wide * LANES)
    rows_of<wide>(rows, x, w + o, bias + o, of, last, y + o);
  for (; o < of.outputs; o += LANES) rows_of<1>(rows, x, w + o, bias + o, of, last, y + o);
}

struct Room {
  float *contacts, *one, *other, *bodies, *heads;  // [FEW 8, in], [FEW 8, widest] twice, [FEW, in], [M, FEW, heads]
  Room(Cutter& cut, const NetworkArrays& net) {
    int widest = 0;
    for (int l = 0; l < net.layers; ++l) widest = std::max(widest, net.layer[l].outputs);
    contacts = cut.take<float>(FEW * TOUCH_SLOTS * net.layer[0].inputs);
    one = cut.take<float>(FEW * TOUCH_SLOTS * widest);
    other = cut.take<float>(FEW * TOUCH_SLOTS * widest);
    bodies = cut.take<float>(FEW * net.layer[net.readers].inputs);
    heads = cut.take<float>(net.members * FEW * net.layer[net.layers - 1].outputs);
  }
};

struct Network {
  const Reader& reader;
  const NetworkArrays& net;
  const MotionOutputs& out;
  int64_t count;

  // Layers from `first` up to `end`, through room for two of them.
  const float* run(int first, int end, int member, int rows, const float* x, const Room& room) const {
    float *to = room.one, *next = room.other;
    for (int l = first; l < end; ++l) {
      layer(rows, x, net.layer[l], member, false, to);
      x = to;
      std::swap(to, next);
    }
    return x;
  }

  // What is said of a few bodies.
  void read(const int64_t* rows, int few, const float* motion, float* meant, const Room& room) const {
    Around around[FEW];
    int start[FEW + 1] = {0};
    float weights[FEW * TOUCH_SLOTS];
    const int in = net.layer[0].inputs, pooled = net.layer[net.readers - 1].outputs;
    const int wide = net.layer[net.readers].inputs;
    std::fill(room.bodies, room.bodies + few * wide, 0.0f);
    for (int n = 0; n < few; ++n) {
      around[n] = reader.look(rows[n]);
      int used = start[n];
      for (int64_t i = rows[n] * TOUCH_SLOTS; i < (rows[n] + 1) * TOUCH_SLOTS; ++i) {
        if (!(reader.in.touch.weight[i] > 0)) continue;
        float* to = room.contacts + used * in;
        std::fill(to, to + in, 0.0f);
        reader.contact(rows[n], i, around[n], motion, to);
        weights[used++] = reader.in.touch.weight[i];
      }
      start[n + 1] = used;
      reader.body(rows[n], around[n], room.bodies + n * wide + 2 * pooled);
    }
    const Layer& head = net.layer[net.layers - 1];
    for (int m = 0; m < net.members; ++m) {
      const float* contacts = run(0, net.readers, m, start[few], room.contacts, room);
      for (int n = 0; n < few; ++n)
        pool(contacts + start[n] * pooled, weights + start[n], start[n + 1] - start[n], pooled, room.bodies + n * wide);
      layer(few, run(net.readers, net.layers - 1, m, few, room.bodies, room), head, m, true, room.heads + m * FEW * head.outputs);
    }
    for (int n = 0; n < few; ++n) say(rows[n], around[n], room.heads + n * head.outputs, head.outputs, meant);
  }

  // Sum over 4 and maximum of contacts by their weights; unused ones count as 0.
  static void pool(const float* values, const float* weights, int used, int width, float* to) {
    for (int o = 0; o < width; o += LANES) {
      FloatV total{}, most = used < TOUCH_SLOTS ? FloatV{} : broadcast(-3e38f);
      for (int i = 0; i < used; ++i) {
        const FloatV v = load(values + i * width + o, LANES) * weights[i];
        total = total + v;
        most = v > most ? v : most;
      }
      store(total * 0.25f, to + o, LANES);
      store(most, to + width + o, LANES);
    }
  }

  void say(int64_t row, const Around& around, const float* heads, int head_row, float* meant) const {
    const float span = static_cast<float>(reader.in.seconds / 0.1), gate = std::min(2 * around.touched, 1.0f);
    const float coasting[12] = {around.way.x,          around.way.y,          around.way.z,
                                around.turn.x,         around.turn.y,         around.turn.z,
                                around.linear_after.x, around.linear_after.y, around.linear_after.z,
                                around.angular_after.x, around.angular_after.y, around.angular_after.z};
    float mean[12] = {}, local[6] = {}, spread[6] = {};
    const float members = static_cast<float>(net.members);
    for (int m = 0; m < net.members; ++m) {
      const float* raw = heads + m * FEW * head_row;
      float said[12];
      float* logs = out.log_variance + 12 * (m * count + row);
      for (int k = 0; k < 12; ++k) {
        said[k] = coasting[k] + gate * (raw[k] * net.units[k]) * (k < 6 ? span : 1.0f);
        const float bounded = std::min(std::max(raw[12 + k], net.least_log), net.most_log);
        // max and min would take NaN for a bound.
        logs[k] = (raw[12 + k] == raw[12 + k] ? bounded : raw[12 + k]) + 2 * std::log(net.units[k]);
        if (k < 6) logs[k] += 2 * std::log(span), spread[k] += std::exp(logs[k]), local[k] += said[k];
      }
      float* world = out.members + 12 * (m * count + row);
      for (int k = 0; k < 12; k += 3) {
        const Vec3<float> v = to_world(around.heading, vec3(said + k));
        world[k] = v.x, world[k + 1] = v.y, world[k + 2] = v.z;
      }
      for (int k = 0; k < 12; ++k) mean[k] += world[k];
    }
    for (float& m : mean) m /= members;
    for (float& l : local) l /= members;
    for (int m = 0; m < net.members; ++m)
      for (int k = 0; k < 6; ++k) {
        const float* raw = heads + m * FEW * head_row;
        const float apart = coasting[k] + gate * (raw[k] * net.units[k]) * span - local[k];
        spread[k] += apart * apart;
      }
    for (float& s : spread) s /= members;
    std::copy(mean, mean + 6, out.motion + 6 * row);
    std::copy(mean + 6, mean + 12, out.twist + 6 * row);
    const float c2 = around.heading.x * around.heading.x, s2 = around.heading.y * around.heading.y;
    float* variance = out.variance + 6 * row;
    for (int k = 0; k < 6; k += 3) {
      variance[k] = c2 * spread[k] + s2 * spread[k + 1];
      variance[k + 1] = s2 * spread[k] + c2 * spread[k + 1];
      variance[k + 2] = spread[k + 2];
    }
    out.heading[2 * row] = around.heading.x, out.heading[2 * row + 1] = around.heading.y;
    std::copy(mean, mean + 6, meant + 6 * reader.at(row));
  }
};

}  // namespace

int64_t network_room(const NetworkArrays& net) {
  Cutter cut(nullptr);
  Room room(cut, net);
  return cut.used();
}

void read_motion(const SceneArrays& scene, const FeatureScales& scales, const NetworkArrays& net,
                 const MotionInputs& in, const Rooms& rooms, float* motion, float* meant, int64_t* again,
                 const MotionOutputs& out) {
  const Reader reader(scene, in, scales);
  const Network network{reader, net, out, in.count};
  const int64_t table = 6 * scene.states * scene.bodies;
  std::fill(motion, motion + table, 0.0f);
  for_each(scene.states * scene.bodies, rooms, [&](char*, int64_t i) {
    if (scene.kinds[i] != TOOL) return;
    double way[6];
    travel(in.poses + 7 * i, in.ends + 7 * i, way);
    for (int k = 0; k < 6; ++k) motion[6 * i + k] = static_cast<float>(way[k]);
  });
  for (int64_t row = 0; row < in.count; ++row)
    std::copy(in.coasting + 6 * row, in.coasting + 6 * (row + 1), motion + 6 * reader.at(row));
  std::copy(motion, motion + table, meant);
  int64_t count = in.count;
  for (int64_t row = 0; row < count; ++row) again[row] = row;
  for (int round = 0; round < net.rounds && count; ++round) {
    for_each((count + FEW - 1) / FEW, rooms, [&](char* bytes, int64_t chunk) {
      Cutter cut(bytes);
      const int64_t first = chunk * FEW;
      network.read(again + first, static_cast<int>(std::min<int64_t>(FEW, count - first)), motion, meant, Room(cut, net));
    });
    std::copy(meant, meant + table, motion);
    // Who has neighbours is read once more.
    count = 0;
    for (int64_t row = 0; row < in.count; ++row) {
      bool neighbours = false;
      for (int64_t i = row * TOUCH_SLOTS; i < (row + 1) * TOUCH_SLOTS; ++i)
        neighbours |= in.touch.kind[i] == FREE && in.touch.weight[i] > 0;
      if (neighbours) again[count++] = row;
    }
  }
}

}  // namespace splatworld
