// resample: any shapes, strides and matrix a binding lets through: aligned, sheared, degenerate, far outside, up to
// 1e280.
#include "cubic/cubic.h"
#include "input.h"
#include "resample/resample.h"

using namespace bedside;
using namespace bedside::cpu;
using namespace bedside::cpu::fuzz;

namespace {

double fill_of(Input& in, DType type) {
  switch (type) {
    case DType::u8:
      return in.byte();
    case DType::i8:
      return static_cast<std::int8_t>(in.byte());
    case DType::u16:
      return in.bits();
    case DType::i16:
      return static_cast<std::int16_t>(in.bits());
    case DType::i32:
      return static_cast<std::int32_t>(in.bits64());
    default:
      return in.number(true);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const DType type = in.one_of(kTypes);
  const Interpolation mode = in.flag() ? Interpolation::linear : Interpolation::nearest;
  const Padding padding = in.flag() ? Padding::border : Padding::constant;
  static constexpr DType kLinearOut[] = {DType::f32, DType::f16, DType::u8, DType::i8};
  const DType out_type = mode == Interpolation::linear ? in.one_of(kLinearOut) : in.flag() ? type : DType::f32;
  const std::vector<Index> from = {in.length(12), in.length(40), in.length(40)};
  const std::vector<Index> to = {in.length(9), in.length(40), in.length(70)};
  Noise noise(in);
  Array src(in, type, from, false);
  src.fill(noise);
  if (src.count() == 0 && to[0] * to[1] * to[2] != 0) return 0;  // the binding refuses it

  double matrix[12];
  if (in.flag()) {  // near the source: a scaling of permuted axes and a little shear
    const int shift = in.byte() % 3;
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 3; ++column) {
        const bool main = column == (row + shift) % 3;
        matrix[row * 4 + column] = main ? (in.byte() - 128) / 32.0 : in.flag() ? (in.byte() - 128) / 512.0 : 0.0;
      }
      matrix[row * 4 + 3] = (in.byte() - 64) / 4.0;
    }
  } else {
    for (double& m : matrix) m = in.finite(1e280);
  }
  const double fill = fill_of(in, mode == Interpolation::linear ? DType::f32 : out_type);
  const Rescale map = in.map();
  const Finish finish{in.flag() ? &map : nullptr, in.quantization(out_type)};
  Input again = in;
  Array out(in, out_type, to, true), second(again, out_type, to, true);
  Array* const outs[2] = {&out, &second};
  on_two_levels(in, [&](int round, int threads) {
    resample(src.source(), outs[round]->target(), matrix, mode, padding, fill, finish, threads);
  });
  expect(out.contents() == second.contents(), "resample on another instruction set");
  expect(out.gaps_untouched(), "resample: memory between the elements");
  if (src.count() == 0 || mode == Interpolation::nearest) return 0;

  // The cubic spline through the same voxels, into the same output.
  std::vector<float> voxels[2];
  on_two_levels(in, [&](int round, int threads) {
    std::vector<float>& memory = voxels[round];
    memory.resize(static_cast<std::size_t>(src.count()));
    const Index shape[3] = {from[0], from[1], from[2]}, stride[3] = {shape[1] * shape[2], shape[2], 1};
    const Array3 made{memory.data(), DType::f32, {shape[0], shape[1], shape[2]}, {stride[0], stride[1], stride[2]}};
    spline_coefficients(src.source(), made, padding, threads);
    resample_cubic({made.data, DType::f32, {shape[0], shape[1], shape[2]}, {stride[0], stride[1], stride[2]}},
                   outs[round]->target(), matrix, padding, static_cast<float>(fill), finish, threads);
  });
  expect(out.contents() == second.contents(), "cubic resample on another instruction set");
  expect(out.gaps_untouched(), "cubic resample: memory between the elements");
  return 0;
}
