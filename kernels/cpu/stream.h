// Large outputs, written past the cache. An ordinary store reads its cache line before it is changed and pushes out
// what the cache holds; a non-temporal store of whole lines does neither, which for a kernel that only moves data is up
// to a third of all traffic.
//
// A loop computes a block into a small buffer that stays in the first-level cache (kStreamBlock bytes), and stream()
// copies it out, so that loops need no variant for this. Whoever has called stream() calls stream_fence() before it
// says that the work is done: once a thread, at the end of parallel_for's body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "bedside/host_device.h"

namespace bedside::cpu {

// A multiple of every cache line; with the block's input it fills about half of a first-level cache of 32 KiB.
inline constexpr std::size_t kStreamBlock = 8192;

// Whether an output of so many bytes is better written past the cache: when it is bigger than what a core's share of
// the last-level cache could keep until it is read (1 to 4 MiB on the CPUs of a clinic's PC; the output of a whole
// study is then far above it, a single radiograph is below). Only for outputs whose rows are contiguous and at least
// some cache lines long, and that are not read at once by whoever writes them.
static inline bool pays_to_stream(Index bytes) {
#if defined(__SSE2__)
  return bytes >= Index{16} << 20;
#else
  (void)bytes;
  return false;
#endif
}

// As memcpy, past the cache. The parts of cache lines at both ends are written through it.
static inline void stream(void* to_, const void* from_, std::size_t bytes) {
#if defined(__SSE2__)
  char* to = static_cast<char*>(to_);
  const char* from = static_cast<const char*>(from_);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(to) & 63;
  if (past != 0) {
    const std::size_t head = 64 - past < bytes ? 64 - past : bytes;
    std::memcpy(to, from, head);
    to += head;
    from += head;
    bytes -= head;
  }
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(__AVX__)
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), a);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + 32), b);
#else
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16));
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 32));
    const __m128i d = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 48));
    _mm_stream_si128(reinterpret_cast<__m128i*>(to), a);
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + 16), b);
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + 32), c);
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + 48), d);
#endif
  }
  if (bytes > 0) std::memcpy(to, from, bytes);
#else
  std::memcpy(to_, from_, bytes);
#endif
}

// Makes what this thread has streamed visible to other threads before what it writes next.
static inline void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace bedside::cpu
