// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "segmentation/loops.h"

#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "bedside/pack_bits.h"
#include "transpose.h"

namespace bedside::cpu {

namespace {

bool pack(const std::uint8_t* mask, Index n, std::uint8_t label, std::uint8_t* out) {
  std::uint64_t any = 0;
  Index i = 0;
#if defined(__AVX512BW__)
  const __m512i wanted = _mm512_set1_epi8(static_cast<char>(label));
  for (; i + 64 <= n; i += 64) {
    const std::uint64_t bits = _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(mask + i), wanted);
    any |= bits;
    std::memcpy(out + i / 8, &bits, 8);
  }
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi8(static_cast<char>(label));
  for (; i + 32 <= n; i += 32) {
    const __m256i voxels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask + i));
    const std::uint32_t bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(voxels, wanted)));
    any |= bits;
    std::memcpy(out + i / 8, &bits, 4);
  }
#elif defined(__SSE2__)
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(label));
  for (; i + 16 <= n; i += 16) {
    const __m128i voxels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask + i));
    const std::uint16_t bits = static_cast<std::uint16_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(voxels, wanted)));
    any |= bits;
    std::memcpy(out + i / 8, &bits, 2);
  }
#endif
  for (; i < n; i += 8) {
    const std::uint8_t bits = pack_byte(mask + i, n - i < 8 ? static_cast<int>(n - i) : 8, label);
    any |= bits;
    out[i / 8] = bits;
  }
  return any != 0;
}

}  // namespace

constexpr SegmentationLoops BEDSIDE_LEVEL(segmentation_loops) = {pack, transpose_bytes};

}  // namespace bedside::cpu
