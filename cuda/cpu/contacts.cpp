// Which bodies are near each other, and where: points of each one's surface in the other's distance grid.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

struct Pose {
  Mat3<double> turn;
  Vec3<double> move;
};

Pose read_pose(const double* p) {
  const double inverse = 1.0 / std::sqrt(p[3] * p[3] + p[4] * p[4] + p[5] * p[5] + p[6] * p[6]);
  const double w = p[3] * inverse, x = p[4] * inverse, y = p[5] * inverse, z = p[6] * inverse;
  return {{{{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
            {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
            {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}}},
          {p[0], p[1], p[2]}};
}

// a_from_b, rounded to steps of 2^-24: two bodies that move together keep the very same relative pose, and with it the
// choice among points that are equally near.
struct Relative {
  Mat3<float> turn;
  Vec3<float> move;
};

float rounded(double a) {
  constexpr double steps = 16777216.0;
  return static_cast<float>(std::nearbyint(a * steps) / steps);
}

Relative relative(const Pose& a, const Pose& b) {
  Relative out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      double sum = 0;
      for (int k = 0; k < 3; ++k) sum += a.turn.m[k][i] * b.turn.m[k][j];
      out.turn.m[i][j] = rounded(sum);
    }
  const Vec3<double> move = apply_transposed(a.turn, b.move - a.move);
  out.move = {rounded(move.x), rounded(move.y), rounded(move.z)};
  return out;
}

Grid grid_of(const ShapeArrays& shapes, int body) {
  Grid grid{shapes.grid_values + shapes.grid_start[body], {}, {}, shapes.grid_spacing[body]};
  for (int k = 0; k < 3; ++k) {
    grid.size[k] = shapes.grid_size[3 * body + k];
    grid.origin[k] = shapes.grid_origin[3 * body + k];
  }
  return grid;
}

// Points that may be near, in the frame of body b: distance (NEVER for those that are not), position, and normal from b
// towards a. LANES side by side, as they were sampled.
constexpr float NEVER = 1e30f;

struct Found {
  static constexpr int ROOM = 1024 / LANES;
  int count = 0, of_a = 0;  // the first of_a are points of a, the others of b
  FloatV distance[ROOM], gap2[ROOM], outward[ROOM], order[ROOM];
  Vec3<FloatV> point[ROOM], normal[ROOM];
};

Vec3<FloatV> turned(const Mat3<float>& a, const Vec3<FloatV>& v) {
  return {a.m[0][0] * v.x + a.m[0][1] * v.y + a.m[0][2] * v.z, a.m[1][0] * v.x + a.m[1][1] * v.y + a.m[1][2] * v.z,
          a.m[2][0] * v.x + a.m[2][1] * v.y + a.m[2][2] * v.z};
}

// The points of `body` in the grid of another, whose frame is reached by `to`. keep(index of the first point, own
// points, points in the grid's frame, gradients, distances) is called where one is nearer than `reach`.
template <class Keep>
void sample_surface(const ShapeArrays& shapes, int body, const Grid& grid, const Relative& to, float reach,
                    Keep&& keep) {
  for (int cluster = shapes.cluster_start[body]; cluster < shapes.cluster_start[body + 1]; ++cluster) {
    const float* sphere = shapes.cluster_spheres + 4 * static_cast<int64_t>(cluster);
    Vec3<float> outside;
    const Vec3<float> middle = apply(to.turn, {sphere[0], sphere[1], sphere[2]}) + to.move;
    const float v = interpolate(grid, middle, outside).distance, out = vsqrt(dot(outside, outside));
    // Beyond the grid the least that is possible; the samples' rounding of creases on top.
    const float least = v > 0 ? vsqrt(out * out + v * v) : v;
    if (least - sphere[3] > reach + std::min(grid.spacing, 0.01f)) continue;
    const float* points = shapes.points + 3 * CLUSTER * static_cast<int64_t>(cluster);
    for (int first = 0; first < CLUSTER; first += LANES) {
      Vec3<FloatV> own, beyond;
      std::memcpy(&own.x, points + first, sizeof(FloatV));
      std::memcpy(&own.y, points + CLUSTER + first, sizeof(FloatV));
      std::memcpy(&own.z, points + 2 * CLUSTER + first, sizeof(FloatV));
      Vec3<FloatV> p = turned(to.turn, own);
      p = {p.x + to.move.x, p.y + to.move.y, p.z + to.move.z};
      const Sampled<FloatV> s = interpolate(grid, p, beyond);
      const FloatV d = s.distance + vsqrt(dot(beyond, beyond));
      const IntV near = d < broadcast(reach);
      const int index = (cluster - shapes.cluster_start[body]) * CLUSTER + first;
      if (any(near)) keep(index, own, p, s.gradient, select(near, d, broadcast(NEVER)));
    }
  }
}

constexpr float SPREAD = 4.0f;           // m apart that make up for a m less deep
constexpr float LEVEL = 1e-4f;           // m: points that are as deep as each other
constexpr float APART2 = 1e-3f * 1e-3f;  // m^2: nearer than that it is the same contact
constexpr float EARLIER = 5e-6f;         // m a point: more than rounding, so that ties are broken alike however a pair lies

// Index of the greatest of `count` vectors, the first of equals.
template <class Value>
int greatest(int count, float& best, Value&& value) {
  FloatV top = broadcast(-2 * NEVER), where{};
  for (int i = 0; i < count; ++i) {
    const FloatV v = value(i);
    const IntV better = v > top;
    top = select(better, v, top);
    where = select(better, broadcast(static_cast<float>(i)), where);
  }
  int index = static_cast<int>(where[0]) * LANES;
  best = top[0];
  for (int lane = 1; lane < LANES; ++lane) {
    const int at = static_cast<int>(where[lane]) * LANES + lane;
    if (top[lane] > best || (top[lane] == best && at < index)) {
      best = top[lane];
      index = at;
    }
  }
  return index;
}

// The farthest out of the points that are about the deepest: a corner of a face that lies flat.
int first_choice(Found& found, float deepest) {
  Vec3<FloatV> sum{};
  FloatV count{};
  const FloatV zero{}, one = broadcast(1.0f), level = broadcast(deepest + LEVEL);
  for (int i = 0; i < found.count; ++i) {
    const IntV flat = found.distance[i] <= level;
    const Vec3<FloatV>& p = found.point[i];
    sum = sum + Vec3<FloatV>{select(flat, p.x, zero), select(flat, p.y, zero), select(flat, p.z, zero)};
    count = count + select(flat, one, zero);
  }
  float x = 0, y = 0, z = 0, points = 0;
  for (int lane = 0; lane < LANES; ++lane) {
    x += sum.x[lane], y += sum.y[lane], z += sum.z[lane];
    points += count[lane];
  }
  x /= points, y /= points, z /= points;
  float best;
  return greatest(found.count, best, [&](int i) {
    const FloatV dx = found.point[i].x - x, dy = found.point[i].y - y, dz = found.point[i].z - z;
    found.outward[i] = vsqrt(dx * dx + dy * dy + dz * dz);
    return select(found.distance[i] <= level, found.outward[i] - found.order[i], broadcast(-NEVER));
  });
}

// One of the deepest points, then again and again the one that is far from those chosen, far out, and yet deep.
int choose(Found& found, int* chosen) {
  if (!found.count) return 0;
  float best;
  greatest(found.count, best, [&](int i) { return -found.distance[i]; });
  const float deepest = -best;
  int next = first_choice(found, deepest);
  for (int i = 0; i < found.count; ++i) found.gap2[i] = broadcast(NEVER);
  int count = 0;
  for (;;) {
    chosen[count++] = next;
    if (count == MOST_CONTACTS) break;
    const Vec3<FloatV>& from = found.point[next / LANES];
    const float x = from.x[next % LANES], y = from.y[next % LANES], z = from.z[next % LANES];
    next = greatest(found.count, best, [&](int i) {
      const FloatV dx = found.point[i].x - x, dy = found.point[i].y - y, dz = found.point[i].z - z;
      found.gap2[i] = vmin(found.gap2[i], dx * dx + dy * dy + dz * dz);
      const FloatV gain =
          vsqrt(found.gap2[i]) + found.outward[i] - SPREAD * (found.distance[i] - deepest) - found.order[i];
      return select(found.gap2[i] < broadcast(APART2), broadcast(-NEVER), gain);
    });
    if (best <= -SPREAD) break;  // what is left was not near, or is the same contact
  }
  // Nearest first; what is as near stays in the order of choice, far apart.
  auto distance = [&](int i) { return found.distance[i / LANES][i % LANES]; };
  for (int i = 1; i < count; ++i)
    for (int j = i; j > 0 && distance(chosen[j]) < distance(chosen[j - 1]) - LEVEL; --j) std::swap(chosen[j], chosen[j - 1]);
  return count;
}

void sample_pair(const ShapeArrays& shapes, const PosedArrays& posed, const int32_t* candidate, float reach,
                 Found& found, int64_t row, const ContactArrays& out) {
  const int64_t first = static_cast<int64_t>(candidate[0]) * posed.bodies;
  const int64_t body_a = first + candidate[1], body_b = first + candidate[2];
  const int a = posed.shape_ids[body_a], b = posed.shape_ids[body_b];
  const Pose world_from_a = read_pose(posed.poses + 7 * body_a), world_from_b = read_pose(posed.poses + 7 * body_b);
  found.count = 0;
  FloatV lanes;
  for (int lane = 0; lane < LANES; ++lane) lanes[lane] = EARLIER * static_cast<float>(lane);
  auto keep = [&](int index, const FloatV& d, const Vec3<FloatV>& p, const Vec3<FloatV>& n) {
    if (found.count == Found::ROOM) return;
    found.order[found.count] = lanes + broadcast(EARLIER * static_cast<float>(index));
    found.distance[found.count] = d;
    found.point[found.count] = p;
    found.normal[found.count++] = n;
  };
  const Relative b_from_a = relative(world_from_b, world_from_a);
  using Points = Vec3<FloatV>;
  if (shapes.grid_start[b] >= 0)
    sample_surface(shapes, a, grid_of(shapes, b), b_from_a, reach,
                   [&](int index, const Points&, const Points& p, const Points& g, const FloatV& d) {
                     keep(index, d, p, g);
                   });
  found.of_a = found.count;
  if (shapes.grid_start[a] >= 0)
    sample_surface(shapes, b, grid_of(shapes, a), relative(world_from_a, world_from_b), reach,
                   [&](int index, const Points& p, const Points&, const Points& g, const FloatV& d) {
                     const Points n = turned(b_from_a.turn, g);
                     keep(index, d, p, {-n.x, -n.y, -n.z});
                   });
  int chosen[MOST_CONTACTS];
  const int count = choose(found, chosen);
  out.count[row] = count;
  const Vec3<double> between = world_from_b.move - world_from_a.move;
  for (int k = 0; k < MOST_CONTACTS; ++k) {
    const int64_t at = row * MOST_CONTACTS + k;
    float* vectors[4] = {out.normal + 3 * at, out.point + 3 * at, out.arm_a + 3 * at, out.arm_b + 3 * at};
    if (k >= count) {
      out.distance[at] = reach;
      for (float* v : vectors) std::fill(v, v + 3, 0.0f);
      continue;
    }
    const int i = chosen[k] / LANES, lane = chosen[k] % LANES;
    const float d = found.distance[i][lane];
    Vec3<double> n{found.normal[i].x[lane], found.normal[i].y[lane], found.normal[i].z[lane]};
    const double length2 = dot(n, n), inverse = length2 > 0 ? 1.0 / std::sqrt(length2) : 0.0;
    n = apply(world_from_b.turn, inverse * n);
    // Sampled points of a lie d above b, those of b as far below a: in the middle both say the same.
    const double half = i < found.of_a ? -0.5 * d : 0.5 * d;
    const Vec3<double> arm_b = apply(world_from_b.turn, {found.point[i].x[lane], found.point[i].y[lane], found.point[i].z[lane]}) + half * n;
    const Vec3<double> arm_a = arm_b + between, p = arm_b + world_from_b.move;
    const Vec3<double> values[4] = {n, p, arm_a, arm_b};
    out.distance[at] = d;
    for (int j = 0; j < 4; ++j) {
      vectors[j][0] = static_cast<float>(values[j].x);
      vectors[j][1] = static_cast<float>(values[j].y);
      vectors[j][2] = static_cast<float>(values[j].z);
    }
  }
}

}  // namespace

void broad_phase(const ShapeArrays& shapes, const PosedArrays& posed, int64_t pairs, const int32_t* pair, double reach,
                 uint8_t* near) {
  constexpr int64_t chunk = 8;
  auto side = [&](int64_t body, double* low, double* high) {
    const Pose pose = read_pose(posed.poses + 7 * body);
    const float* box = shapes.boxes + 6 * static_cast<int64_t>(posed.shape_ids[body]);
    const double half[3] = {0.5 * (double(box[3]) - box[0]), 0.5 * (double(box[4]) - box[1]),
                            0.5 * (double(box[5]) - box[2])};
    const Vec3<double> middle =
        apply(pose.turn, {0.5 * (double(box[0]) + box[3]), 0.5 * (double(box[1]) + box[4]),
                          0.5 * (double(box[2]) + box[5])}) + pose.move;
    const double at[3] = {middle.x, middle.y, middle.z};
    for (int i = 0; i < 3; ++i) {
      double extent = 0;
      for (int k = 0; k < 3; ++k) extent += std::abs(pose.turn.m[i][k]) * half[k];
      low[i] = at[i] - extent;
      high[i] = at[i] + extent;
    }
  };
  parallel_for((posed.states + chunk - 1) / chunk, [&](long part) {
    for (int64_t s = part * chunk; s < std::min(posed.states, (part + 1) * chunk); ++s) {
      for (int64_t q = 0; q < pairs; ++q) {
        double low[2][3], high[2][3];
        bool meet = true;
        for (int k = 0; k < 2; ++k) {
          const int64_t body = s * posed.bodies + pair[2 * q + k];
          const float* box = shapes.boxes + 6 * static_cast<int64_t>(posed.shape_ids[body]);
          meet = meet && box[0] <= box[3];
          side(body, low[k], high[k]);
        }
        for (int k = 0; k < 3; ++k)
          meet = meet && low[0][k] <= high[1][k] + reach && low[1][k] <= high[0][k] + reach;
        near[s * pairs + q] = meet;
      }
    }
  });
}

void sample_contacts(const ShapeArrays& shapes, const PosedArrays& posed, int64_t candidates, const int32_t* candidate,
                     float reach, const ContactArrays& contacts) {
  constexpr int64_t chunk = 8;
  parallel_for((candidates + chunk - 1) / chunk, [&](long part) {
    Found found;
    for (int64_t row = part * chunk; row < std::min(candidates, (part + 1) * chunk); ++row)
      sample_pair(shapes, posed, candidate + 3 * row, reach, found, row, contacts);
  });
}

}  // namespace splatworld
