#include "cpu/threads.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels.h"

namespace splatworld {
namespace {

// How long a thread looks for work, or for the end of others', before it sleeps. Waking one takes a virtual machine
// 50 us and more, and a pass hands out work every few hundred.
constexpr std::chrono::microseconds PATIENCE{200};

// Whether `ready` came true in that time. Looking gives way to whatever else wants the core.
template <typename Ready>
bool soon(Ready ready) {
  const auto deadline = std::chrono::steady_clock::now() + PATIENCE;
  do {
    if (ready()) return true;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

class Pool {
 public:
  ~Pool() { resize(1); }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void resize(int count) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
    for (int i = 1; i < count; ++i) workers_.emplace_back([this, seen = round_.load()] { work(seen); });
  }

  void run(long count, const std::function<void(long)>& task) {
    std::lock_guard<std::mutex> one_caller(run_mutex_);
    if (workers_.empty() || count < 2) {
      for (long i = 0; i < count; ++i) task(i);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      task_ = &task;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      ++round_;
    }
    wake_.notify_all();
    drain();
    // On a busy machine some may not have woken yet: nothing is left for them, so nobody waits for them.
    soon([this] { return busy_ == 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    task_ = nullptr;
  }

 private:
  // Each of n threads works its way through its own part of the tasks, until one is free earlier: neighbours in the
  // list write to neighbouring memory, and two threads on one cache line wait for each other.
  void drain() {
    const long threads = size(), part = (count_ + threads - 1) / threads;
    for (long i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < part * threads;) {
      long task = i % threads * part + i / threads;
      if (task < count_) (*task_)(task);
    }
  }

  void work(long seen) {
    for (;;) {
      soon([&] { return stopping_ || round_ != seen; });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
        if (stopping_) return;
        seen = round_;
        if (!task_) continue;
        ++busy_;
      }
      drain();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_, run_mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(long)>* task_ = nullptr;
  std::atomic<long> next_{0}, round_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stopping_{false};
  long count_ = 0;
};

Pool& pool() {
  // Leaked on purpose: joining threads while the interpreter tears libraries down can hang.
  static Pool* shared = [] {
    Pool* made = new Pool;
    made->resize(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
    return made;
  }();
  return *shared;
}

}  // namespace

void parallel_for(long count, const std::function<void(long)>& task) { pool().run(count, task); }
void set_threads(int count) { pool().resize(count < 1 ? 1 : count); }
int get_threads() { return pool().size(); }

}  // namespace splatworld
