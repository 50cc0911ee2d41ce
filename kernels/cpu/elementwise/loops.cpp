// Compiled once an instruction set (isa.h). Everything here but the table is in an anonymous namespace or always
// inlined, so that no two builds of one function meet in the linker.
#include "elementwise/loops.h"

#include <type_traits>

#include "bedside/stored_bits.h"
#include "stream.h"
#include "transpose.h"

namespace bedside::cpu {

namespace {

// Strides of 1 are worth a loop of their own: the compiler vectorises it without gathers.
template <typename T>
void rescale(const void* src_, Index src_stride, float* __restrict out, Index out_stride, Index n, const Rescale& p_) {
  const T* __restrict src = static_cast<const T*>(src_);
  const Rescale p = p_;
  if (src_stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(src[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = rescale_voxel(src[i * src_stride], p);
  }
}

// rescale in place: src and out are the same floats, in the same order.
void rescale_f32(const void* src_, Index src_stride, float* out, Index out_stride, Index n, const Rescale& p_) {
  if (src_ != out) return rescale<float>(src_, src_stride, out, out_stride, n, p_);
  const Rescale p = p_;
  if (out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = rescale_voxel(out[i], p);
  } else {
    for (Index i = 0; i < n; ++i) out[i * out_stride] = rescale_voxel(out[i * out_stride], p);
  }
}

// Whether `value` is one of T's; if so, which.
template <typename T>
BEDSIDE_HD bool representable(double value, T& found) {
  if (static_cast<T>(0.5) != static_cast<T>(0)) {  // a float
    found = static_cast<T>(value);
    return true;
  }
  if (!(value >= -2147483648.0 && value <= 2147483647.0)) return false;
  const std::int32_t whole = static_cast<std::int32_t>(value);
  found = static_cast<T>(whole);
  return static_cast<double>(whole) == value && static_cast<std::int32_t>(found) == whole;
}

template <typename T>
void rescale_padded(const void* src_, Index src_stride, float* __restrict out, Index n, const Rescale& p_,
                    const PaddingValue& padding) {
  const T* __restrict src = static_cast<const T*>(src_);
  T none;
  if (!representable(padding.stored, none)) return rescale<T>(src, src_stride, out, 1, n, p_);
  const Rescale p = p_;
  const float fill = padding.out;
  if (src_stride == 1) {
    for (Index i = 0; i < n; ++i) {
      const float v = rescale_voxel(src[i], p);
      out[i] = src[i] == none ? fill : v;
    }
  } else {
    for (Index i = 0; i < n; ++i) {
      const T stored = src[i * src_stride];
      const float v = rescale_voxel(stored, p);
      out[i] = stored == none ? fill : v;
    }
  }
}

template <typename T>
void sigmoid_window(const void* src_, Index src_stride, float* __restrict out, Index n, const SigmoidWindow& p_) {
  const T* __restrict src = static_cast<const T*>(src_);
  const SigmoidWindow p = p_;
  for (Index i = 0; i < n; ++i) out[i] = sigmoid_window_voxel(src[i * src_stride], p);
}

template <typename Out>
void store_row(const float* __restrict from, void* to_, Index to_stride, Index n, const Quantization& q_) {
  Out* __restrict to = static_cast<Out*>(to_);
  const Quantization q = q_;
  if (q.truncates && to_stride == 1) {
    for (Index i = 0; i < n; ++i) to[i] = Store<Out>::cut(from[i]);
  } else if (q.truncates) {
    for (Index i = 0; i < n; ++i) to[i * to_stride] = Store<Out>::cut(from[i]);
  } else if (to_stride == 1) {
    for (Index i = 0; i < n; ++i) to[i] = Store<Out>::of(from[i], q);
  } else {
    for (Index i = 0; i < n; ++i) to[i * to_stride] = Store<Out>::of(from[i], q);
  }
}

#if defined(__SSSE3__)
// Byte k of the result is byte `of(k)` of `from`, or 0 where that is not one of its 16.
template <typename F>
BEDSIDE_HD __m128i pick(__m128i from, F of) {
  alignas(16) std::int8_t index[16];
  for (int k = 0; k < 16; ++k) index[k] = static_cast<std::int8_t>(of(k) >= 0 && of(k) < 16 ? of(k) : -1);
  return _mm_shuffle_epi8(from, _mm_load_si128(reinterpret_cast<const __m128i*>(index)));
}

template <int Channel>
BEDSIDE_HD __m128i channel_of(__m128i a, __m128i b, __m128i c) {
  const __m128i first = pick(a, [](int k) { return 3 * k + Channel; });
  const __m128i second = pick(b, [](int k) { return 3 * k + Channel - 16; });
  const __m128i third = pick(c, [](int k) { return 3 * k + Channel - 32; });
  return _mm_or_si128(_mm_or_si128(first, second), third);
}

template <int Third>
BEDSIDE_HD __m128i joined(__m128i red, __m128i green, __m128i blue) {
  const auto part = [](__m128i from, int channel) {
    return pick(from, [channel](int k) { return (16 * Third + k) % 3 == channel ? (16 * Third + k) / 3 : -1; });
  };
  return _mm_or_si128(_mm_or_si128(part(red, 0), part(green, 1)), part(blue, 2));
}

BEDSIDE_HD __m128i load16(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

BEDSIDE_HD void save16(std::uint8_t* to, __m128i v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v);
}
#endif

void split(const std::uint8_t* __restrict from, std::uint8_t* __restrict red, std::uint8_t* __restrict green,
           std::uint8_t* __restrict blue, Index n) {
  Index i = 0;
#if defined(__SSSE3__)
  for (; i + 16 <= n; i += 16) {
    const __m128i a = load16(from + 3 * i), b = load16(from + 3 * i + 16), c = load16(from + 3 * i + 32);
    save16(red + i, channel_of<0>(a, b, c));
    save16(green + i, channel_of<1>(a, b, c));
    save16(blue + i, channel_of<2>(a, b, c));
  }
#elif defined(__aarch64__)
  for (; i + 16 <= n; i += 16) {
    const uint8x16x3_t pixels = vld3q_u8(from + 3 * i);
    vst1q_u8(red + i, pixels.val[0]);
    vst1q_u8(green + i, pixels.val[1]);
    vst1q_u8(blue + i, pixels.val[2]);
  }
#endif
  for (; i < n; ++i) {
    red[i] = from[3 * i];
    green[i] = from[3 * i + 1];
    blue[i] = from[3 * i + 2];
  }
}

void join(const std::uint8_t* __restrict red, const std::uint8_t* __restrict green, const std::uint8_t* __restrict blue,
          std::uint8_t* __restrict to, Index n) {
  Index i = 0;
#if defined(__SSSE3__)
  for (; i + 16 <= n; i += 16) {
    const __m128i r = load16(red + i), g = load16(green + i), b = load16(blue + i);
    save16(to + 3 * i, joined<0>(r, g, b));
    save16(to + 3 * i + 16, joined<1>(r, g, b));
    save16(to + 3 * i + 32, joined<2>(r, g, b));
  }
#elif defined(__aarch64__)
  for (; i + 16 <= n; i += 16) {
    vst3q_u8(to + 3 * i, uint8x16x3_t{{vld1q_u8(red + i), vld1q_u8(green + i), vld1q_u8(blue + i)}});
  }
#endif
  for (; i < n; ++i) {
    to[3 * i] = red[i];
    to[3 * i + 1] = green[i];
    to[3 * i + 2] = blue[i];
  }
}

template <typename T>
void luma_row(const void* red_, const void* green_, const void* blue_, Index stride, float* __restrict out, Index n) {
  const T* red = static_cast<const T*>(red_);
  const T* green = static_cast<const T*>(green_);
  const T* blue = static_cast<const T*>(blue_);
  if (stride == 1) {
    for (Index i = 0; i < n; ++i) {
      out[i] = luma(static_cast<float>(red[i]), static_cast<float>(green[i]), static_cast<float>(blue[i]));
    }
  } else {
    for (Index i = 0; i < n; ++i) {
      const Index at = i * stride;
      out[i] = luma(static_cast<float>(red[at]), static_cast<float>(green[at]), static_cast<float>(blue[at]));
    }
  }
}

void ybr_to_rgb_row(std::uint8_t* __restrict y_red, std::uint8_t* __restrict cb_green, std::uint8_t* __restrict cr_blue,
                    Index n) {
  for (Index i = 0; i < n; ++i) {
    const Rgb rgb = rgb_of_ybr(y_red[i], cb_green[i], cr_blue[i]);
    y_red[i] = rgb.red;
    cb_green[i] = rgb.green;
    cr_blue[i] = rgb.blue;
  }
}

struct Bytes3 {
  std::uint8_t bytes[3];
};

template <typename T, typename Entry>
void look_up(const void* src_, Index src_stride, const void* table_, void* out_, Index out_stride, Index n,
             const LookUp& p_) {
  const T* src = static_cast<const T*>(src_);
  const Entry* __restrict table = static_cast<const Entry*>(table_);
  Entry* __restrict out = static_cast<Entry*>(out_);
  const LookUp p = p_;
  constexpr Index kBlock = 1024;
  std::int32_t entry[kBlock];
  for (Index begin = 0; begin < n; begin += kBlock) {
    const Index count = n - begin < kBlock ? n - begin : kBlock;
    const T* from = src + begin * src_stride;
    if (src_stride == 1) {
      for (Index i = 0; i < count; ++i) entry[i] = table_entry(from[i], p);
    } else {
      for (Index i = 0; i < count; ++i) entry[i] = table_entry(from[i * src_stride], p);
    }
    Entry* to = out + begin * out_stride;
    for (Index i = 0; i < count; ++i) to[i * out_stride] = table[entry[i]];
  }
}

template <typename T, typename Out>
void extract(const void* src_, Index src_stride, void* out_, Index out_stride, Index n, int shift, int bits) {
  const T* src = static_cast<const T*>(src_);
  Out* out = static_cast<Out*>(out_);
  if (src_ == out_ && src_stride == 1) {  // one pointer, so that the compiler need not fear an overlap
    for (Index i = 0; i < n; ++i) out[i] = extract_bits<Out>(static_cast<std::uint32_t>(out[i]), shift, bits);
  } else if (src_stride == 1 && out_stride == 1) {
    for (Index i = 0; i < n; ++i) out[i] = extract_bits<Out>(static_cast<std::uint32_t>(src[i]), shift, bits);
  } else {
    for (Index i = 0; i < n; ++i) {
      out[i * out_stride] = extract_bits<Out>(static_cast<std::uint32_t>(src[i * src_stride]), shift, bits);
    }
  }
}

// T holds the values, Sum is what they are subtracted in: unsigned, which wraps around, or a float.
template <typename T, typename Sum>
void mirror(void* values_, Index stride, Index n, std::int64_t total_, const double* padding) {
  T* values = static_cast<T*>(values_);
  const Sum total = static_cast<Sum>(total_);
  T none{};
  if (padding != nullptr && representable(*padding, none)) {
    for (Index i = 0; i < n; ++i) {
      const T v = values[i * stride];
      values[i * stride] = v == none ? v : static_cast<T>(total - static_cast<Sum>(v));
    }
  } else if (stride == 1) {
    for (Index i = 0; i < n; ++i) values[i] = static_cast<T>(total - static_cast<Sum>(values[i]));
  } else {
    for (Index i = 0; i < n; ++i) values[i * stride] = static_cast<T>(total - static_cast<Sum>(values[i * stride]));
  }
}

template <typename T>
constexpr void add_type(ElementwiseLoops& table, DType type) {
  const int row = static_cast<int>(type);
  table.rescale[row] = rescale<T>;
  table.rescale_padded[row] = rescale_padded<T>;
  table.sigmoid_window[row] = sigmoid_window<T>;
  table.luma[row] = luma_row<T>;
  table.look_up[row][1] = look_up<T, std::uint8_t>;
  table.look_up[row][2] = look_up<T, std::uint16_t>;
  table.look_up[row][3] = look_up<T, Bytes3>;
  table.look_up[row][4] = look_up<T, std::uint32_t>;
  if constexpr (std::is_integral_v<T>) {
    table.extract_bits[row][static_cast<int>(DType::u8)] = extract<T, std::uint8_t>;
    table.extract_bits[row][static_cast<int>(DType::i8)] = extract<T, std::int8_t>;
    table.extract_bits[row][static_cast<int>(DType::u16)] = extract<T, std::uint16_t>;
    table.extract_bits[row][static_cast<int>(DType::i16)] = extract<T, std::int16_t>;
    table.extract_bits[row][static_cast<int>(DType::i32)] = extract<T, std::int32_t>;
    table.mirror[row] = mirror<T, std::uint32_t>;
  } else {
    table.rescale[row] = rescale_f32;
    table.mirror[row] = mirror<T, T>;
  }
}

constexpr ElementwiseLoops make_table() {
  ElementwiseLoops table{};
  each_stored_type([&](auto zero, DType type) { add_type<decltype(zero)>(table, type); });
  table.store[static_cast<int>(DType::f32)] = store_row<float>;
  table.store[static_cast<int>(DType::f16)] = store_row<Half>;
  table.store[static_cast<int>(DType::u8)] = store_row<std::uint8_t>;
  table.store[static_cast<int>(DType::i8)] = store_row<std::int8_t>;
  table.store[static_cast<int>(DType::u16)] = store_row<std::uint16_t>;
  table.store[static_cast<int>(DType::i16)] = store_row<std::int16_t>;
  table.store[static_cast<int>(DType::i32)] = store_row<std::int32_t>;
  add_turns(table.turn);
  table.stream = stream;
  table.split = split;
  table.join = join;
  table.ybr_to_rgb = ybr_to_rgb_row;
  return table;
}

}  // namespace

constexpr ElementwiseLoops BEDSIDE_LEVEL(elementwise_loops) = make_table();

}  // namespace bedside::cpu
