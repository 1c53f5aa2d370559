// Which bodies are near each other, and where: points of each one's surface in the other's distance grid.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/closest.h"
#include "cpu/contacts.h"
#include "cpu/lanes.h"
#include "cpu/threads.h"

namespace splatworld {

Pose read_pose(const double* p) {
  const double inverse = 1.0 / std::sqrt(p[3] * p[3] + p[4] * p[4] + p[5] * p[5] + p[6] * p[6]);
  const double w = p[3] * inverse, x = p[4] * inverse, y = p[5] * inverse, z = p[6] * inverse;
  return {{{{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
            {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
            {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}}},
          {p[0], p[1], p[2]}};
}

namespace {

// Points that may be near, in the frame of body b: distance (NEVER for those that are not), position, and normal from b
// towards a. LANES side by side, as they were sampled.
constexpr float NEVER = 1e30f;

struct Found {
  static constexpr int ROOM = 1024 / LANES;
  int count = 0, of_a = 0;  // the first of_a are points of a, the others of b
  FloatV distance[ROOM], gap2[ROOM], worth[ROOM];
  Vec3<FloatV> point[ROOM], normal[ROOM];
};

// Of the clusters from `first` on, LANES at most, those that may hold points nearer than `reach`: one bit each.
uint32_t near_clusters(const ShapeArrays& shapes, int first, int count, const float* box, const Grid& grid,
                       const Relative& to, float reach) {
  const float* spheres = shapes.cluster_spheres + first;
  const int64_t row = shapes.cluster_start[shapes.bodies];
  Vec3<FloatV> middle = moved(to, {load(spheres, count), load(spheres + row, count), load(spheres + 2 * row, count)});
  // The samples' rounding of creases on top.
  const FloatV within = load(spheres + 3 * row, count) + (reach + std::min(grid.spacing, 0.01f));
  const IntV near = box_distance2(box, middle) <= within * within;
  const uint32_t used = (2u << (count - 1)) - 1;
  if (!(bits(near) & used)) return 0;
  // Far ones read the grid's first sample: that one is at hand.
  middle = {select(near, middle.x, broadcast(grid.origin[0])), select(near, middle.y, broadcast(grid.origin[1])),
            select(near, middle.z, broadcast(grid.origin[2]))};
  Vec3<FloatV> beyond;
  const FloatV v = interpolate(grid, middle, beyond).distance;
  // Beyond the grid the least that is possible.
  const FloatV least = select(v > FloatV{}, vsqrt(dot(beyond, beyond) + v * v), v);
  return bits(near & (least <= within)) & used;
}

// The points of `body` in the grid of another, whose frame is reached by `to`. keep(index of the first point, own
// points, points in the grid's frame, gradients, distances) is called where one is nearer than `reach`.
template <class Keep>
void sample_surface(const ShapeArrays& shapes, int body, int other, const Relative& to, float reach, Keep&& keep) {
  if (shapes.grid_start[other] < 0) return;
  const Grid grid = grid_of(shapes, other);
  const int end = shapes.cluster_start[body + 1];
  for (int begin = shapes.cluster_start[body]; begin < end; begin += LANES) {
    uint32_t left = near_clusters(shapes, begin, std::min(LANES, end - begin), shapes.boxes + 6 * other, grid, to, reach);
    for (; left; left &= left - 1) {
      const int cluster = begin + __builtin_ctz(left);
      const float* points = shapes.points + 3 * CLUSTER * static_cast<int64_t>(cluster);
      for (int first = 0; first < CLUSTER; first += LANES) {
        const Vec3<FloatV> own{load(points + first, LANES), load(points + CLUSTER + first, LANES),
                               load(points + 2 * CLUSTER + first, LANES)};
        const Vec3<FloatV> p = moved(to, own);
        Vec3<FloatV> beyond;
        const Sampled<FloatV> s = interpolate(grid, p, beyond);
        const FloatV d = s.distance + vsqrt(dot(beyond, beyond));
        const IntV near = d < broadcast(reach);
        const int index = (cluster - shapes.cluster_start[body]) * CLUSTER + first;
        if (any(near)) keep(index, own, p, s.gradient, select(near, d, broadcast(NEVER)));
      }
    }
  }
}

constexpr float SPREAD = 4.0f;           // m apart that make up for a m less deep
constexpr float EARLIER = 5e-6f;         // m a point: more than rounding, so that ties are broken alike however a pair lies
constexpr float APART2 = 1e-3f * 1e-3f;  // m^2: nearer than that it is the same contact

// Index of the greatest of `count` vectors, the first of equals.
template <class Value>
int greatest(int count, float& best, Value&& value) {
  FloatV top = broadcast(-2 * NEVER);
  IntV where{};
  for (int i = 0; i < count; ++i) {
    const FloatV v = value(i);
    const IntV better = v > top;
    top = select(better, v, top);
    where = select(better, IntV{} + i, where);
  }
  best = maximum(top);
  int32_t vectors[LANES];
  std::memcpy(vectors, &where, sizeof vectors);
  int index = count * LANES;
  for (uint32_t left = bits(top == broadcast(best)); left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    index = std::min(index, vectors[lane] * LANES + lane);
  }
  return index;
}

// The farthest out of the points that are about the deepest: a corner of a face that lies flat. found.worth, the
// points' order, becomes what each is worth besides its gap to those chosen: far out and yet deep.
int first_choice(Found& found) {
  float best;
  greatest(found.count, best, [&](int i) { return -found.distance[i]; });
  const float deepest = -best;
  Vec3<FloatV> total{};
  FloatV count{};
  const FloatV zero{}, one = broadcast(1.0f), level = broadcast(deepest + LEVEL);
  for (int i = 0; i < found.count; ++i) {
    const IntV flat = found.distance[i] <= level;
    const Vec3<FloatV>& p = found.point[i];
    total = total + Vec3<FloatV>{select(flat, p.x, zero), select(flat, p.y, zero), select(flat, p.z, zero)};
    count = count + select(flat, one, zero);
  }
  const float share = 1.0f / sum(count), x = share * sum(total.x), y = share * sum(total.y), z = share * sum(total.z);
  return greatest(found.count, best, [&](int i) {
    const FloatV dx = found.point[i].x - x, dy = found.point[i].y - y, dz = found.point[i].z - z;
    found.worth[i] = found.worth[i] + vsqrt(dx * dx + dy * dy + dz * dz);
    const FloatV first = select(found.distance[i] <= level, found.worth[i], broadcast(-NEVER));
    found.worth[i] = found.worth[i] - SPREAD * (found.distance[i] - deepest);
    found.gap2[i] = broadcast(NEVER);
    return first;
  });
}

// One of the deepest points, then again and again the one that is far from those chosen, far out, and yet deep.
int choose(Found& found, int* chosen) {
  if (!found.count) return 0;
  int next = first_choice(found);
  float best;
  int count = 0;
  for (;;) {
    chosen[count++] = next;
    if (count == MOST_CONTACTS) break;
    const Vec3<FloatV>& from = found.point[next / LANES];
    const float x = from.x[next % LANES], y = from.y[next % LANES], z = from.z[next % LANES];
    next = greatest(found.count, best, [&](int i) {
      const FloatV dx = found.point[i].x - x, dy = found.point[i].y - y, dz = found.point[i].z - z;
      found.gap2[i] = vmin(found.gap2[i], dx * dx + dy * dy + dz * dz);
      return select(found.gap2[i] < broadcast(APART2), broadcast(-NEVER), vsqrt(found.gap2[i]) + found.worth[i]);
    });
    if (best <= -SPREAD) break;  // what is left was not near, or is the same contact
  }
  return count;
}

}  // namespace

bool sample_pair(const ShapeArrays& shapes, const PosedPair& pair, float reach, float only, int64_t row,
                 const ContactArrays& out) {
  const int a = pair.a, b = pair.b;
  const Pose &world_from_a = *pair.world_from_a, &world_from_b = *pair.world_from_b;
  Found found;
  FloatV lanes;
  for (int lane = 0; lane < LANES; ++lane) lanes[lane] = EARLIER * static_cast<float>(lane);
  auto keep = [&](int index, const FloatV& d, const Vec3<FloatV>& p, const Vec3<FloatV>& n) {
    if (found.count == Found::ROOM) return;
    found.worth[found.count] = -(lanes + EARLIER * static_cast<float>(index));
    found.distance[found.count] = d;
    found.point[found.count] = p;
    found.normal[found.count++] = n;
  };
  const Relative b_from_a = relative(world_from_b, world_from_a);
  using Points = Vec3<FloatV>;
  sample_surface(shapes, a, b, b_from_a, reach,
                 [&](int index, const Points&, const Points& p, const Points& g, const FloatV& d) {
                   keep(index, d, p, g);
                 });
  found.of_a = found.count;
  sample_surface(shapes, b, a, relative(world_from_a, world_from_b), reach,
                 [&](int index, const Points& p, const Points&, const Points& g, const FloatV& d) {
                   const Points n = turned(b_from_a.turn, g);
                   keep(index, d, p, {-n.x, -n.y, -n.z});
                 });
  if (only < reach) {
    FloatV least = broadcast(reach);
    for (int i = 0; i < found.count; ++i) least = vmin(least, found.distance[i]);
    if (!any(least < broadcast(only))) return false;
  }
  int chosen[MOST_CONTACTS];
  Closest contacts;
  contacts.count = choose(found, chosen);
  for (int k = 0; k < contacts.count; ++k) {
    const int i = chosen[k] / LANES, lane = chosen[k] % LANES;
    const Vec3<FloatV>&at = found.point[i], &n = found.normal[i];
    const float d = found.distance[i][lane];
    // Sampled points of a lie d above b, those of b as far below a: in the middle both say the same.
    contacts.all[k] = {d, i < found.of_a ? -0.5 * d : 0.5 * d, {at.x[lane], at.y[lane], at.z[lane]},
                       {n.x[lane], n.y[lane], n.z[lane]}};
  }
  contacts.refine(shapes, a, b, relative(world_from_a, world_from_b));
  out.count[row] = contacts.count;
  const Vec3<double> between = world_from_b.move - world_from_a.move;
  for (int k = 0; k < MOST_CONTACTS; ++k) {
    const int64_t at = row * MOST_CONTACTS + k;
    float* vectors[4] = {out.normal + 3 * at, out.point + 3 * at, out.arm_a + 3 * at, out.arm_b + 3 * at};
    if (k >= contacts.count) {
      out.distance[at] = reach;
      for (float* v : vectors) std::fill(v, v + 3, 0.0f);
      continue;
    }
    const Closest::One& one = contacts.all[k];
    Vec3<double> n{one.normal.x, one.normal.y, one.normal.z};
    const double length2 = dot(n, n), inverse = length2 > 0 ? 1.0 / std::sqrt(length2) : 0.0;
    n = apply(world_from_b.turn, inverse * n);
    const Vec3<double> own{one.point.x, one.point.y, one.point.z};
    const Vec3<double> arm_b = apply(world_from_b.turn, own) + one.aside * n;
    const Vec3<double> arm_a = arm_b + between, p = arm_b + world_from_b.move;
    const Vec3<double> values[4] = {n, p, arm_a, arm_b};
    out.distance[at] = one.distance;
    for (int j = 0; j < 4; ++j) {
      vectors[j][0] = static_cast<float>(values[j].x);
      vectors[j][1] = static_cast<float>(values[j].y);
      vectors[j][2] = static_cast<float>(values[j].z);
    }
  }
  return true;
}

const PairContacts* contacts_of(const ShapeArrays& shapes, const PosedPair& pair, float reach, float only,
                                SeenPair* seen, PairContacts& room) {
  if (!seen) return sample_pair(shapes, pair, reach, only, 0, room.view()) ? &room : nullptr;
  const Pose &a = *pair.world_from_a, &b = *pair.world_from_b;
  if (!seen->filled || std::memcmp(&seen->a, &a, sizeof a) || std::memcmp(&seen->b, &b, sizeof b)) {
    seen->filled = sample_pair(shapes, pair, reach, only, 0, seen->contacts.view());
    if (!seen->filled) return nullptr;
    seen->a = a, seen->b = b;
  }
  return &seen->contacts;
}

float least_distance(const ShapeArrays& shapes, const PosedPair& pair, float reach) {
  FloatV least = broadcast(reach);
  auto keep = [&](int, const Vec3<FloatV>&, const Vec3<FloatV>&, const Vec3<FloatV>&, const FloatV& d) {
    least = vmin(least, d);
  };
  sample_surface(shapes, pair.a, pair.b, relative(*pair.world_from_b, *pair.world_from_a), reach, keep);
  sample_surface(shapes, pair.b, pair.a, relative(*pair.world_from_a, *pair.world_from_b), reach, keep);
  return -maximum(-least);
}

void pose_box(const Pose& pose, const float* box, double* posed) {
  double half[3], middle[3];
  bool nothing = false;
  for (int k = 0; k < 3; ++k) {
    half[k] = 0.5 * (double(box[3 + k]) - box[k]);
    middle[k] = 0.5 * (double(box[k]) + box[3 + k]);
    nothing |= half[k] < 0;
  }
  const Vec3<double> placed = apply(pose.turn, {middle[0], middle[1], middle[2]}) + pose.move;
  const double at[3] = {placed.x, placed.y, placed.z};
  for (int i = 0; i < 3; ++i) {
    double extent = 0;
    for (int k = 0; k < 3; ++k) extent += std::abs(pose.turn.m[i][k]) * half[k];
    if (nothing) extent = -std::numeric_limits<double>::infinity();
    posed[i] = at[i] - extent;
    posed[3 + i] = at[i] + extent;
  }
}

namespace {

// work(i) for each of `count` rows, dealt in parts that are worth a thread's while.
template <class Work>
void for_chunks(int64_t count, Work&& work) {
  constexpr int64_t chunk = 16;
  parallel_for((count + chunk - 1) / chunk, [&](long part) {
    for (int64_t i = part * chunk; i < std::min(count, (part + 1) * chunk); ++i) work(i);
  });
}

}  // namespace

int64_t broad_phase(const ShapeArrays& shapes, const PosedArrays& posed, int64_t pairs, const int32_t* pair,
                    double reach, double* posed_boxes, int32_t* candidates) {
  for_chunks(posed.states * posed.bodies, [&](int64_t body) {
    const float* box = shapes.boxes + 6 * static_cast<int64_t>(posed.shape_ids[body]);
    pose_box(read_pose(posed.poses + 7 * body), box, posed_boxes + 6 * body);
  });
  int64_t count = 0;
  for (int64_t s = 0; s < posed.states; ++s) {
    for (int64_t q = 0; q < pairs; ++q) {
      const int32_t a = pair[2 * q], b = pair[2 * q + 1];
      const double* boxes = posed_boxes + 6 * s * posed.bodies;
      int32_t* row = candidates + 3 * count;
      row[0] = static_cast<int32_t>(s), row[1] = a, row[2] = b;
      count += boxes_meet(boxes + 6 * a, boxes + 6 * b, reach);
    }
  }
  return count;
}

int64_t sample_contacts(const ShapeArrays& shapes, const PosedArrays& posed, int64_t count, int32_t* candidates,
                        float reach, const ContactArrays& contacts) {
  for_chunks(count, [&](int64_t row) {
    const int32_t* candidate = candidates + 3 * row;
    const int64_t first = candidate[0] * posed.bodies, a = first + candidate[1], b = first + candidate[2];
    const Pose pose_a = read_pose(posed.poses + 7 * a), pose_b = read_pose(posed.poses + 7 * b);
    sample_pair(shapes, {posed.shape_ids[a], posed.shape_ids[b], &pose_a, &pose_b}, reach, ANY, row, contacts);
  });
  int64_t kept = 0;
  auto move_up = [&](auto* array, int64_t row, int64_t width) {
    std::copy(array + row * width, array + (row + 1) * width, array + kept * width);
  };
  for (int64_t row = 0; row < count; ++row) {
    if (!contacts.count[row]) continue;
    if (kept < row) {
      move_up(candidates, row, 3);
      move_up(contacts.count, row, 1);
      move_up(contacts.distance, row, MOST_CONTACTS);
      for (float* vectors : {contacts.normal, contacts.point, contacts.arm_a, contacts.arm_b})
        move_up(vectors, row, 3 * MOST_CONTACTS);
    }
    ++kept;
  }
  return kept;
}

}  // namespace splatworld
