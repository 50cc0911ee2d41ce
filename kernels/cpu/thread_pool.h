// Threads that live as long as the process and share out the items of a loop.
#pragma once

#include <type_traits>

#include "bedside/host_device.h"

namespace bedside::cpu {

// 0 stands for the budget: what was set last, or every core of the affinity mask; never more than kMaxThreads.
inline constexpr int kMaxThreads = 256;
int resolve_threads(int requested);
int thread_budget();
void set_thread_budget(int threads);  // 0 goes back to the affinity mask

namespace detail {
using Body = void (*)(void* context, int slot, Index begin, Index end);
void parallel_for(Index items, Index grain, int threads, Body body, void* context);
}  // namespace detail

// Calls body(slot, begin, end) for pieces of at most `grain` items that cover 0..items-1 once, on at most `threads`
// threads, the calling one among them; slot is in 0..threads-1 and no two threads have the same. Returns when all is
// done.
//
// body must not throw. Safe to call from several threads at once (each caller works on its own loop and takes what help
// is free) and after fork(). Allocates nothing once the threads exist; where one cannot be started the others do its
// work.
template <typename F>
void parallel_for(Index items, Index grain, int threads, F&& body) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_for(
      items, grain, threads,
      [](void* context, int slot, Index begin, Index end) { (*static_cast<Function*>(context))(slot, begin, end); },
      const_cast<std::remove_const_t<Function>*>(&body));
}

}  // namespace bedside::cpu
