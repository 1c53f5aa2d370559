// The most arithmetic that this machine does at this instruction set: what "share of peak" is a share of.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "bench/bench.h"

namespace splatworld {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int CHAINS = 12;  // independent; more than latency times units on any core, and they fit 16 registers
constexpr int STEPS = 4096;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The chains come and go through memory, so that none of the work can be left out.
void multiply_add(FloatV* chains, float factor, float term) {
  FloatV chain[CHAINS];
  std::copy(chains, chains + CHAINS, chain);
  const FloatV a = broadcast(factor), b = broadcast(term);
  for (int step = 0; step < STEPS; ++step)
    for (int i = 0; i < CHAINS; ++i) chain[i] = chain[i] * a + b;
  std::copy(chain, chain + CHAINS, chains);
}

// GFLOP/s of this thread.
double measure(double seconds) {
  alignas(64) FloatV chains[CHAINS];
  for (int i = 0; i < CHAINS; ++i) chains[i] = broadcast(static_cast<float>(i));
  const auto start = Clock::now();
  double spent = 0;
  int64_t rounds = 0;
  do {
    multiply_add(chains, 0.999f, 0.25f);
    // Keeps the numbers alive.
    asm volatile("" : : "r"(chains) : "memory");
    ++rounds;
    spent = seconds_since(start);
  } while (spent < seconds);
  return 2e-9 * LANES * CHAINS * STEPS * rounds / spent;
}

}  // namespace

double arithmetic_peak(int threads, double seconds) {
  std::vector<double> rates(std::max(threads, 1));
  std::vector<std::thread> others;
  for (size_t i = 1; i < rates.size(); ++i) others.emplace_back([&, i] { rates[i] = measure(seconds); });
  rates[0] = measure(seconds);
  for (std::thread& other : others) other.join();
  double total = 0;
  for (double rate : rates) total += rate;
  return total;
}

}  // namespace splatworld
