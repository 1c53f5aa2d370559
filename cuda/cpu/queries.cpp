// How far points and balls are from the bodies of posed worlds, and where rays meet them.
#include "cpu/field.h"

#include <limits>


namespace splatworld {

void pose_bodies(const FieldArrays& field, const PosedField& posed) {
  const int64_t bodies = field.shapes.bodies, rows = posed.states * bodies;
  constexpr int64_t part = 256;
  parallel_for((rows + part - 1) / part, [&](long task) {
    for (int64_t i = task * part; i < std::min(rows, (task + 1) * part); ++i)
      posed.bodies[i] = pose_body(field, static_cast<int>(i % bodies), posed.poses + 7 * i,
                                  posed.node + 7 * posed.nodes * (i / bodies));
  });
}

namespace {

void put(const Offset& from, int lane, float* to) {
  to[0] = from.x[lane], to[1] = from.y[lane], to[2] = from.z[lane];
}

}  // namespace

void find_distances(const FieldArrays& field, const PosedField& posed, int64_t count, const double* balls,
                    const Answers& out) {
  pose_bodies(field, posed);
  for_places(posed.states, count, [&](int64_t s, int64_t first, int lanes) {
    const Field here(field, posed, s);
    const int64_t row = s * count + first;
    const Place p = read_places(balls + 4 * row, 4, lanes);
    const FloatV radius = read_numbers(balls + 4 * row + 3, 4, lanes);
    const Nearest found = here.nearest(p, false);
    const FloatV unseen = here.unseen(p);
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t at = row + lane;
      const int b = found.body[lane];
      const float d = found.distance[lane], r = radius[lane];
      float clear = unseen[lane];
      out.distance[at] = d - r;
      put(found.gradient, lane, out.gradient + 3 * at);
      out.body[at] = b;
      const Vec3<float> g{found.gradient.x[lane], found.gradient.y[lane], found.gradient.z[lane]};
      Vec3<float> offset{};
      if (b >= 0) {
        const double* move = here.bodies[b].move;
        offset = {float(p.x[lane] - move[0]), float(p.y[lane] - move[1]), float(p.z[lane] - move[2])};
        if (b > 0 && d < 0) clear = std::max(clear, -d);  // inside a body there is that body
      }
      out.std[at] = here.deviation(b, offset, d, g);
      out.unseen[at] = clear - r;
      // What a ball touches before it reaches unseen space is certain.
      out.known[at] = clear > std::min(r, std::max(d, 0.0f)) && here.surface_seen(b, offset, d, g);
    }
  });
}

namespace {

constexpr int MOST_STEPS = 256;
constexpr float HIT = 2e-4f;        // m from a surface
constexpr float GRAZING = 2e-3f;    // m: a ray that is as near when its steps are used up has met it
constexpr float LEAST_COSINE = 0.1f;

struct Rays {
  Place from, along;
  Place at(const FloatV& way) const {
    const DoubleV t = widen(way);
    return {from.x + t * along.x, from.y + t * along.y, from.z + t * along.z};
  }
};

// Goes on by what is certainly free until it is used up: Hart, "Sphere tracing" (1996).
Nearest trace(const Field& here, const Rays& rays, float most, FloatV& way) {
  IntV going = FloatV{} == FloatV{};
  Nearest hit;
  way = FloatV{};
  for (int k = 0; k < MOST_STEPS && any(going); ++k) {
    const Nearest found = here.nearest(rays.at(way), true);
    const float near = k + 1 == MOST_STEPS ? GRAZING : HIT;
    const IntV met = going & (found.distance < broadcast(near));
    hit.distance = select(met, found.distance, hit.distance);
    hit.gradient = either(met, found.gradient, hit.gradient);
    hit.body = select(met, found.body, hit.body);
    going = going & mask_not(met);
    way = select(going, way + vmax(found.distance, broadcast(HIT)), way);
    going = going & (way < broadcast(most));
  }
  return hit;
}

// How far along the rays, up to `ends`, everything was seen.
FloatV seen_along(const Field& here, const Rays& rays, const FloatV& ends) {
  FloatV way{};
  if (!here.field.unseen.values) return broadcast(NOWHERE);
  const float least = 0.25f * here.field.unseen.spacing;
  IntV going = FloatV{} == FloatV{};
  while (any(going)) {
    const FloatV clear = here.unseen(rays.at(way));
    going = going & (clear > FloatV{});
    way = select(going, way + vmax(clear, broadcast(least)), way);
    const IntV through = going & (way >= ends);
    way = select(through, broadcast(NOWHERE), way);
    going = going & mask_not(through);
  }
  return way;
}

}  // namespace

void cast_rays(const FieldArrays& field, const PosedField& posed, int64_t count, const double* rays, float most,
               const Answers& out) {
  pose_bodies(field, posed);
  for_places(posed.states, count, [&](int64_t s, int64_t first, int lanes) {
    const Field here(field, posed, s);
    const int64_t row = s * count + first;
    const Rays along{read_places(rays + 6 * row, 6, lanes), read_places(rays + 6 * row + 3, 6, lanes)};
    FloatV way;
    const Nearest hit = trace(here, along, most, way);
    const FloatV seen = seen_along(here, along, select(hit.body >= 0, way, broadcast(most)));
    const Place p = along.at(way);
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t at = row + lane;
      const int b = hit.body[lane];
      Vec3<float> g{hit.gradient.x[lane], hit.gradient.y[lane], hit.gradient.z[lane]};
      Vec3<float> offset{};
      const float length = std::sqrt(dot(g, g));
      if (length > 0) g = (1.0f / length) * g;
      if (b >= 0) {
        const double* move = here.bodies[b].move;
        offset = {float(p.x[lane] - move[0]), float(p.y[lane] - move[1]), float(p.z[lane] - move[2])};
      }
      const float cosine = std::abs(g.x * float(along.along.x[lane]) + g.y * float(along.along.y[lane]) +
                                    g.z * float(along.along.z[lane]));
      out.distance[at] = b >= 0 ? way[lane] : std::numeric_limits<float>::infinity();
      out.gradient[3 * at] = g.x, out.gradient[3 * at + 1] = g.y, out.gradient[3 * at + 2] = g.z;
      out.body[at] = b;
      out.std[at] = b < 0 ? 0.0f : here.deviation(b, offset, 0.0f, g) / std::max(cosine, LEAST_COSINE);
      out.unseen[at] = seen[lane];
      out.known[at] = seen[lane] >= (b >= 0 ? way[lane] : most) && here.surface_seen(b, offset, 0.0f, g);
    }
  });
}

}  // namespace splatworld
