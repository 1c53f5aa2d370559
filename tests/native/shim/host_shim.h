// A host that plays the device, for tests: every thread of a block is a thread of the machine, blocks come one after the
// other. Barriers, votes and shuffles wait for all threads that still run, so that a missing barrier is seen as what it
// is. Slow, and meant for tiny scenes under sanitizers.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static
#define __launch_bounds__(...)

namespace splatworld::gpu {

struct Index {
  unsigned x;
};
inline thread_local Index threadIdx;
inline Index blockIdx, blockDim, gridDim;

struct Warp {
  std::barrier<> wait;
  uint64_t said[32] = {};
  explicit Warp(int lanes) : wait(lanes) {}
};

struct Block {
  std::barrier<> wait;
  std::vector<std::unique_ptr<Warp>> warps;
  std::atomic<int> votes{0};
  explicit Block(int threads) : wait(threads) {
    for (int first = 0; first < threads; first += 32) warps.push_back(std::make_unique<Warp>(std::min(32, threads - first)));
  }
};
inline Block* block;

inline Warp& warp() { return *block->warps[threadIdx.x / 32]; }
inline int lane() { return threadIdx.x % 32; }

inline void __syncthreads() { block->wait.arrive_and_wait(); }
inline void __syncwarp(uint32_t = 0xffffffffu) { warp().wait.arrive_and_wait(); }

inline int __syncthreads_and(int vote) {
  __syncthreads();
  if (threadIdx.x == 0) block->votes = 0;
  __syncthreads();
  block->votes += vote ? 1 : 0;
  __syncthreads();
  return block->votes == static_cast<int>(blockDim.x);
}

// What every lane says, told to all of them.
template <class T, class Use>
auto exchange(T value, Use&& use) {
  Warp& own = warp();
  std::memcpy(&own.said[lane()], &value, sizeof value);
  own.wait.arrive_and_wait();
  auto answer = use(own.said);
  own.wait.arrive_and_wait();
  return answer;
}

template <class T>
T __shfl_sync(uint32_t, T value, int from) {
  return exchange(value, [&](const uint64_t* said) {
    T out;
    std::memcpy(&out, &said[from % 32], sizeof out);
    return out;
  });
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int other) {
  return __shfl_sync(mask, value, lane() ^ other);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, int by) {
  return __shfl_sync(mask, value, std::min(31, lane() + by));
}
inline uint32_t __ballot_sync(uint32_t, int vote) {
  return exchange(static_cast<uint64_t>(vote != 0), [](const uint64_t* said) {
    uint32_t set = 0;
    for (int i = 0; i < 32; ++i) set |= static_cast<uint32_t>(said[i] != 0) << i;
    return set;
  });
}
inline int __all_sync(uint32_t mask, int vote) { return __ballot_sync(mask, vote) == 0xffffffffu; }
inline int __any_sync(uint32_t mask, int vote) { return __ballot_sync(mask, vote) != 0; }

template <class T>
T atomicAdd(T* at, T value) {
  return std::atomic_ref<T>(*at).fetch_add(value);
}

inline int __ffs(uint32_t a) { return a ? __builtin_ctz(a) + 1 : 0; }
inline int __popc(uint32_t a) { return __builtin_popcount(a); }
inline uint32_t __float_as_uint(float a) {
  uint32_t bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}

using Stream = int;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, Stream, Arguments... arguments) {
  blockDim.x = threads;
  gridDim.x = static_cast<unsigned>(blocks);
  for (int64_t b = 0; b < blocks; ++b) {
    blockIdx.x = static_cast<unsigned>(b);
    Block own(threads);
    block = &own;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
      running.emplace_back([&, t] {
        threadIdx.x = t;
        kernel(arguments...);
        own.warps[t / 32]->wait.arrive_and_drop();
        own.wait.arrive_and_drop();
      });
    for (std::thread& one : running) one.join();
  }
}

}  // namespace splatworld::gpu
