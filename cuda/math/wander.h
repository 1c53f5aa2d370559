// The random walk of transparent splats (Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", 2024,
// eq. 8). Every splat's numbers come from a counter, Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", 2011), so they depend on (seed, step, index) alone.
#pragma once

#include "math/vector.h"

namespace splatworld {

struct Walk {
  float strength, below;  // splats whose opacity logit is not below `below` stay
  uint64_t seed, step;
};

struct Philox {
  uint32_t word[4];

  SW_HD Philox(uint64_t seed, uint64_t step, uint64_t index) {
    word[0] = low(index), word[1] = high(index), word[2] = low(step), word[3] = high(step);
    uint32_t key[2] = {low(seed), high(seed)};
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = 0xD2511F53ull * word[0], b = 0xCD9E8D57ull * word[2];
      word[0] = high(b) ^ word[1] ^ key[0];
      word[1] = low(b);
      word[2] = high(a) ^ word[3] ^ key[1];
      word[3] = low(a);
      key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u;
    }
  }

  SW_HD static uint32_t low(uint64_t a) { return static_cast<uint32_t>(a); }
  SW_HD static uint32_t high(uint64_t a) { return static_cast<uint32_t>(a >> 32); }
  // In (0, 1): the middle of one of 2^23 equal parts.
  SW_HD float uniform(int i) const { return ((word[i] >> 9) + 0.5f) * (1.0f / (1 << 23)); }
};

// Three of the four normal numbers that Box and Muller (1958) make of four uniform ones.
SW_HD Vec3<float> normal(const Philox& random) {
  constexpr float TURN = 6.28318530717958647692f;
  const float near = std::sqrt(-2.0f * std::log(random.uniform(0))), angle = TURN * random.uniform(1);
  const float far = std::sqrt(-2.0f * std::log(random.uniform(2)));
  return {near * std::cos(angle), near * std::sin(angle), far * std::cos(TURN * random.uniform(3))};
}

// Moves splat n, if it moves at all.
SW_HD void wander_splat(int64_t n, const float* opacity_logits, const float* log_scales, const float* quats,
                        const Walk& walk, float* means) {
  if (!(opacity_logits[n] < walk.below)) return;
  const float opacity = 1.0f / (1.0f + std::exp(-opacity_logits[n]));
  const float gate = 1.0f / (1.0f + std::exp(-100.0f * ((1.0f - opacity) - 0.995f)));
  const float* q = quats + 4 * n;
  const float squared = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
  const float unit = squared > 0.0f ? 1.0f / std::sqrt(squared) : 0.0f;
  const float reach = walk.strength * gate;
  const Vec3<float> noise = normal(Philox(walk.seed, walk.step, n));
  const float* s = log_scales + 3 * n;
  // Sigma n with n normal is R S^2 n: turning n first changes nothing.
  const Vec3<float> local = {reach * std::exp(2 * s[0]) * noise.x, reach * std::exp(2 * s[1]) * noise.y,
                             reach * std::exp(2 * s[2]) * noise.z};
  const Quat<float> turn = {unit * q[0], unit * q[1], unit * q[2], unit * q[3]};
  const Vec3<float> moved = rotate(turn, local);
  means[3 * n] += moved.x, means[3 * n + 1] += moved.y, means[3 * n + 2] += moved.z;
}

}  // namespace splatworld
