// The least distance between balls and bodies that both move, from one instant to the next.
#include "cpu/field.h"

namespace splatworld {
namespace {

constexpr int MOST_HALVINGS = 10;

// A body on its way from one instant to the next.
struct Moving {
  const PosedBody *start, *end;
  double turn[4], turn_way[4];  // quaternion at first and its change, towards the nearer of the two that are the end
  float rate;                   // rad, more than the turn at its fastest, times 1
  bool still;

  Moving(const double* from, const double* to, const PosedBody* a, const PosedBody* b) : start(a), end(b) {
    auto unit = [](const double* pose, double* q) {
      const double* raw = pose + 3;
      const double inverse = 1.0 / std::sqrt(raw[0] * raw[0] + raw[1] * raw[1] + raw[2] * raw[2] + raw[3] * raw[3]);
      for (int k = 0; k < 4; ++k) q[k] = inverse * raw[k];
    };
    double last[4], cosine = 0, chord2 = 0;
    unit(from, turn), unit(to, last);
    for (int k = 0; k < 4; ++k) cosine += turn[k] * last[k];
    for (int k = 0; k < 4; ++k) {
      turn_way[k] = (cosine < 0 ? -last[k] : last[k]) - turn[k];
      chord2 += turn_way[k] * turn_way[k];
    }
    // Seen from the middle of a sphere, its chord is passed fastest where it is nearest.
    rate = static_cast<float>(2.0 * std::sqrt(chord2 / (1.0 - 0.25 * std::min(chord2, 2.0))));
    still = std::equal(from, from + 7, to);
  }

  PosedBody at(float share) const {
    PosedBody now = *start;
    if (still) return now;
    double pose[7];
    for (int k = 0; k < 3; ++k) pose[k] = now.move[k] = start->move[k] + share * (end->move[k] - start->move[k]);
    for (int k = 0; k < 4; ++k) pose[3 + k] = turn[k] + share * turn_way[k];
    const Pose turned = read_pose(pose);
    for (int i = 0; i < 9; ++i) now.turn[i] = static_cast<float>(turned.turn.m[i / 3][i % 3]);
    return now;
  }
};

// LANES balls on their way.
struct Balls {
  Place from, way;
  FloatV radius, grown;

  Place at(float share) const {
    return {from.x + double(share) * way.x, from.y + double(share) * way.y, from.z + double(share) * way.z};
  }
  FloatV radius_at(float share) const { return radius + share * grown; }
};

FloatV length(const Offset& v) { return vsqrt(dot(v, v)); }

struct Sweep {
  const Field &before, &after;
  const double *poses_before, *poses_after;  // [B, 7]
  const SweepLimits& limits;
  const Balls& balls;
  Nearest best;             // where the balls came nearest, as sampled; radii are taken off
  FloatV least, share;      // what the distance certainly is not below; where it came nearest
  Offset offset{};          // from the nearest body's frame, there

  Sweep(const Field& a, const Field& b, const double* from, const double* to, const SweepLimits& how, const Balls& on)
      : before(a), after(b), poses_before(from), poses_after(to), limits(how), balls(on),
        least(broadcast(NOWHERE)), share() {}

  const FieldArrays& field() const { return before.field; }
  Moving moving(int b) const {
    return {poses_before + 7 * b, poses_after + 7 * b, before.bodies + b, after.bodies + b};
  }

  // How far the balls and a body move relative to each other at most, with the balls' growth.
  FloatV travel(int b, const Moving& body) const {
    const double* from = before.bodies[b].move;
    const double* to = after.bodies[b].move;
    const FloatV growth = vmax(balls.grown, -balls.grown);
    if (field().shapes.grid_start[b] < 0) {
      FloatV most{};
      for (int c = 2 * field().capsule_start[b]; c < 2 * field().capsule_start[b + 1]; ++c) {
        const double *a = before.nodes + 7 * field().capsule_ends[c], *e = after.nodes + 7 * field().capsule_ends[c];
        const double way[3] = {e[0] - a[0], e[1] - a[1], e[2] - a[2]};
        most = vmax(most, length(offset_from(way, balls.way)));
      }
      return most + growth;
    }
    const double way[3] = {to[0] - from[0], to[1] - from[1], to[2] - from[2]};
    const FloatV straight = length(offset_from(way, balls.way)) + growth;
    if (body.rate == 0) return straight;
    const FloatV arm = vmax(length(offset_from(from, balls.at(0))), length(offset_from(to, balls.at(1))));
    return straight + body.rate * arm;
  }

  // No more than the distance to a body anywhere on the way.
  FloatV gap(int b, const FloatV& travelled) const {
    const Place start = balls.at(0), end = balls.at(1);
    const FloatV a = ball_gap(before.bodies[b], offset_from(before.bodies[b].move, start));
    const FloatV e = ball_gap(after.bodies[b], offset_from(after.bodies[b].move, end));
    // Balls around capsules grow and shrink with them: those at both ends bound what is between.
    const float shrunk = std::abs(before.bodies[b].radius - after.bodies[b].radius);
    return 0.5f * (a + e - travelled) - shrunk - vmax(balls.radius, balls.radius + balls.grown);
  }

  // The distance at a share of the way; NOWHERE if it is not below `limit`.
  FloatV look(int b, const Moving& body, float at, const FloatV& limit) {
    const PosedBody posed = body.at(at);
    const Offset from = offset_from(posed.move, balls.at(at));
    auto node = [&](int index, double* place) {
      const double *a = before.nodes + 7 * index, *e = after.nodes + 7 * index;
      for (int k = 0; k < 3; ++k) place[k] = a[k] + double(at) * (e[k] - a[k]);
    };
    Sampled<FloatV> s;
    const FloatV radius = balls.radius_at(at);
    if (!sample_body(field(), b, posed, node, from, limit + radius, true, s)) return broadcast(NOWHERE);
    s.distance = s.distance - radius;
    const IntV better = s.distance < best.distance;
    if (best.update(s, b)) {
      share = select(better, broadcast(at), share);
      offset = either(better, from, offset);
    }
    return s.distance;
  }

  // The distance changes by no more than `travelled`, so two samples tell how low it may be between them; where that
  // matters the way is halved. Piyavskii, "An algorithm for finding the absolute extremum of a function" (1972).
  void pass(int b, const Moving& body, const FloatV& travelled) {
    struct Stretch {
      float from, to;
      FloatV at_from, at_to;
    };
    Stretch stack[MOST_HALVINGS + 1];
    const FloatV far = broadcast(NOWHERE), limit = best.distance + travelled;
    const FloatV first = look(b, body, 0, limit), last = look(b, body, 1, limit);
    int count = 0;
    stack[count++] = {0, 1, first, last};
    const float shortest = 1.0f / (1 << MOST_HALVINGS);
    while (count) {
      const Stretch on = stack[--count];
      const float wide = on.to - on.from;
      const FloatV bound = vmin(0.5f * (on.at_from + on.at_to - wide * travelled), vmin(on.at_from, on.at_to));
      const FloatV beyond = vmax(vmax(best.distance, -best.distance) - limits.near, FloatV{});
      const IntV open = bound < best.distance - limits.gap - limits.share * beyond;
      if (wide <= shortest || !any(open)) {
        least = vmin(least, bound);
        continue;
      }
      least = vmin(least, select(open, far, bound));  // what is settled is not looked at again
      const float middle = 0.5f * (on.from + on.to);
      const FloatV half = look(b, body, middle, select(open, far, -far));
      stack[count++] = {middle, on.to, half, select(open, on.at_to, far)};
      stack[count++] = {on.from, middle, select(open, on.at_from, far), half};
    }
  }

  void run() {
    constexpr int KEPT = 64;  // bodies whose bound is remembered; those beyond are bounded again
    float lows[KEPT];
    int first = -1;
    float lowest_gap = NOWHERE;
    for (int b = 0; b < field().shapes.bodies; ++b) {
      if (!before.counts(b)) continue;
      const float low = lowest(gap(b, travel(b, moving(b))));
      if (b < KEPT) lows[b] = low;
      if (first < 0 || low < lowest_gap) first = b, lowest_gap = low;
    }
    if (first < 0) return;
    auto one = [&](int b) {
      const Moving body = moving(b);
      const FloatV travelled = travel(b, body);
      if (b == first || any(gap(b, travelled) < least)) pass(b, body, travelled);
    };
    one(first);
    float farthest = maximum(least);
    for (int b = 0; b < field().shapes.bodies; ++b) {
      if (b == first || !before.counts(b) || (b < KEPT && lows[b] >= farthest)) continue;
      one(b);
      farthest = maximum(least);
    }
  }

  // m to unseen space, anywhere on the way.
  FloatV unseen() const {
    if (!field().unseen.values) return broadcast(NOWHERE);
    const double nothing[3] = {};
    const FloatV half = 0.5f * length(offset_from(nothing, balls.way));
    const FloatV a = before.unseen(balls.at(0)), m = before.unseen(balls.at(0.5f)), e = before.unseen(balls.at(1));
    const FloatV low = vmin(0.5f * (a + m - half), 0.5f * (m + e - half));
    return vmin(low, vmin(vmin(a, m), e));
  }
};

}  // namespace

void sweep_balls(const FieldArrays& field, const PosedField& posed, int64_t instants, int64_t count, const double* balls,
                 const SweepLimits& limits, const Answers& out) {
  pose_bodies(field, posed);
  const int64_t bodies = field.shapes.bodies;
  for_places(posed.states, count, [&](int64_t s, int64_t first, int lanes) {
    const int64_t from = s % instants ? s - 1 : s, row = s * count + first, start = from * count + first;
    const Field before(field, posed, from), after(field, posed, s);
    Balls on{read_places(balls + 4 * start, 4, lanes), read_places(balls + 4 * row, 4, lanes),
             read_numbers(balls + 4 * start + 3, 4, lanes), read_numbers(balls + 4 * row + 3, 4, lanes)};
    on.way = on.way - on.from;
    on.grown = on.grown - on.radius;
    Sweep sweep(before, after, posed.poses + 7 * bodies * from, posed.poses + 7 * bodies * s, limits, on);
    sweep.run();
    const FloatV unseen = sweep.unseen(), radius = vmax(on.radius, on.radius + on.grown);
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t at = row + lane;
      const int b = sweep.best.body[lane];
      const Offset& gradient = sweep.best.gradient;
      const Vec3<float> g{gradient.x[lane], gradient.y[lane], gradient.z[lane]};
      const Vec3<float> offset{sweep.offset.x[lane], sweep.offset.y[lane], sweep.offset.z[lane]};
      const float d = sweep.least[lane], r = radius[lane], center = sweep.best.distance[lane] + r;
      const Field& nearer = sweep.share[lane] < 0.5f ? before : after;
      out.distance[at] = d;
      out.gradient[3 * at] = g.x, out.gradient[3 * at + 1] = g.y, out.gradient[3 * at + 2] = g.z;
      out.body[at] = b;
      out.share[at] = sweep.share[lane];
      out.std[at] = std::max(before.deviation(b, offset, center, g), after.deviation(b, offset, center, g));
      out.unseen[at] = unseen[lane] - r;
      out.known[at] = unseen[lane] > std::min(r, std::max(center, 0.0f)) && nearer.surface_seen(b, offset, center, g);
    }
  });
}

}  // namespace splatworld
