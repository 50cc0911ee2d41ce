#include "thread_pool.h"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace bedside::cpu {

namespace {

// Kernels often follow each other within microseconds, and waking a thread that sleeps takes 50: whoever waits looks
// out for so long before it sleeps.
constexpr std::chrono::microseconds kLookOut{50};

// Waits until `seen` or the time is up.
template <typename F>
void look_out(F&& seen) {
  const auto until = std::chrono::steady_clock::now() + kLookOut;
  do {
    for (int i = 0; i < 32; ++i) {
      if (seen()) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
  } while (std::chrono::steady_clock::now() < until);
}

// A loop under way; it lives on its caller's stack, so the caller waits until no helper holds it.
struct Job {
  detail::Body body;
  void* context;
  Index items;
  Index grain;
  std::atomic<Index> next{0};
  int wanted = 0;               // helpers that may still join; guarded by the pool's mutex, as the rest
  int joined = 0;               // helpers that have ever joined: their slots are 1..joined
  std::atomic<int> running{0};  // helpers at work; changed under the mutex, and then the helper leaves the job alone
  Job* link = nullptr;

  void work(int slot) {
    for (;;) {
      const Index begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= items) return;
      body(context, slot, begin, std::min(begin + grain, items));
    }
  }
};

class Pool {
 public:
  void run(Job& job, int threads) {
    {
      std::lock_guard lock(mutex_);
      grow(threads - 1);
      job.wanted = std::min(threads - 1, workers_);
      job.link = jobs_;
      jobs_ = &job;
      posted_.fetch_add(1, std::memory_order_relaxed);
    }
    for (int i = 0; i < threads - 1; ++i) wake_.notify_one();
    job.work(0);
    {
      std::lock_guard lock(mutex_);
      for (Job** at = &jobs_; *at != nullptr; at = &(*at)->link) {
        if (*at == &job) {
          *at = job.link;
          break;
        }
      }
    }
    const auto done = [&] { return job.running.load(std::memory_order_acquire) == 0; };
    look_out(done);
    if (done()) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, done);
  }

 private:
  void grow(int count) {
    for (; workers_ < count; ++workers_) {
      try {
        std::thread([this] { serve(); }).detach();
      } catch (const std::system_error&) {
        return;
      }
    }
  }

  [[noreturn]] void serve() {
    std::unique_lock lock(mutex_);
    bool looked = false;
    for (;;) {
      Job* job = jobs_;
      while (job != nullptr && job->wanted == 0) job = job->link;
      if (job == nullptr) {
        if (looked) {
          wake_.wait(lock);
          continue;
        }
        const unsigned before = posted_.load(std::memory_order_relaxed);
        lock.unlock();
        look_out([&] { return posted_.load(std::memory_order_relaxed) != before; });
        lock.lock();
        looked = true;
        continue;
      }
      looked = false;
      --job->wanted;
      job->running.fetch_add(1, std::memory_order_relaxed);
      const int slot = ++job->joined;
      lock.unlock();
      job->work(slot);
      lock.lock();
      if (job->running.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned> posted_{0};  // jobs so far; changed under the mutex
  Job* jobs_ = nullptr;
  int workers_ = 0;
};

// Never destroyed: its threads may outlive the static objects. A forked child has none of the threads, and perhaps a
// locked mutex, so it begins with a pool of its own.
std::atomic<Pool*> current_pool{nullptr};

Pool& pool() {
  Pool* pool = current_pool.load(std::memory_order_acquire);
  if (pool == nullptr) {
    static std::atomic<bool> registered{false};
    if (!registered.exchange(true)) {
      pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr, std::memory_order_release); });
    }
    Pool* mine = new Pool;
    if (current_pool.compare_exchange_strong(pool, mine, std::memory_order_acq_rel)) {
      pool = mine;
    } else {
      delete mine;
    }
  }
  return *pool;
}

// What 0 stands for where it was set; 0 where not.
std::atomic<int> budget{0};

int affinity_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int thread_budget() {
  const int set = budget.load(std::memory_order_relaxed);
  return std::clamp(set > 0 ? set : affinity_cores(), 1, kMaxThreads);
}

void set_thread_budget(int threads) {
  budget.store(threads, std::memory_order_relaxed);
}

int resolve_threads(int requested) {
  return requested > 0 ? std::min(requested, kMaxThreads) : thread_budget();
}

void detail::parallel_for(Index items, Index grain, int threads, Body body, void* context) {
  if (items <= 0) return;
  grain = std::max<Index>(grain, 1);
  const Index pieces = (items + grain - 1) / grain;
  threads = static_cast<int>(std::min<Index>(threads, pieces));
  if (threads <= 1) {
    body(context, 0, 0, items);
    return;
  }
  Job job{body, context, items, grain};
  pool().run(job, threads);
}

}  // namespace bedside::cpu
