#include "elementwise/rescale.h"

#include "elementwise/walk.h"

namespace bedside::cpu {

void rescale(const ConstArray3& src, const Array3& out, PerSlice slope, PerSlice intercept, float low, float high,
             float scale, float offset, int threads, const OutputForm& finish) {
  const ElementwiseLoops& loop = elementwise_loops();
  const auto plain = loop.rescale[static_cast<int>(src.type)];
  const auto padded = loop.rescale_padded[static_cast<int>(src.type)];
  const bool per_slice = slope.stride != 0 || intercept.stride != 0;
  const auto parameters = [&](Index z) {
    return Rescale{slope.data[z * slope.stride], intercept.data[z * intercept.stride], low, high, scale, offset};
  };
  const PaddingValue* const padding = finish.padding;
  map_values(
      src, out, per_slice, finish.quantization, threads,
      [&](const char* from, Index stride, float* to, Index n, Index z) {
        if (padding == nullptr) return plain(from, stride, to, 1, n, parameters(z));
        padded(from, stride, to, n, parameters(z), *padding);
      },
      [&](const char* from, Index stride, float* to, Index to_stride, Index n, Index z) {
        plain(from, stride, to, to_stride, n, parameters(z));
      },
      {padding == nullptr, true});
}

void sigmoid_window(const ConstArray3& src, const Array3& out, const SigmoidWindow& window, int threads,
                    const OutputForm& finish) {
  const auto row = elementwise_loops().sigmoid_window[static_cast<int>(src.type)];
  map_values(
      src, out, false, finish.quantization, threads,
      [&](const char* from, Index stride, float* to, Index n, Index) { row(from, stride, to, n, window); },
      [](const char*, Index, float*, Index, Index, Index) {}, {false, true});
}

}  // namespace bedside::cpu
