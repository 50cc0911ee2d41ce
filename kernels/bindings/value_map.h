// The keywords of every kernel that maps and stores values as `rescale` does, said and checked once.
#pragma once

#include <limits>
#include <string>

#include "checks.h"

namespace bedside::bindings {

// As the caller gave them.
struct MapKeywords {
  py::object slope, intercept, low, high, scale, offset, quant_scale, zero_point;

  Rescale map() const { return checked(number("slope", slope), number("intercept", intercept), true); }
  // Where slope and intercept, or scale and offset, are one a slice or channel and checked by the kernel.
  Rescale map_but_slope() const { return checked(1.0, 0.0, true); }
  Rescale map_but_scale() const { return checked(number("slope", slope), number("intercept", intercept), false); }

  Quantization quantization(cpu::DType out) const {
    return check_quantization(out, number("quant_scale", quant_scale), whole_number("zero_point", zero_point));
  }

 private:
  Rescale checked(double slope_, double intercept_, bool scales) const {
    return check_map(slope_, intercept_, number("low", low), number("high", high),
                     scales ? number("scale", scale) : 1.0, scales ? number("offset", offset) : 0.0);
  }
};

// Defines kernel(src, out, arguments of its own..., const MapKeywords&, threads); `own` says their names and defaults,
// keyword-only from py::kw_only() on.
template <typename... Own, typename Kernel, typename... Names>
void def_mapped(py::module_& m, const char* name, Kernel kernel, const std::string& doc, const Names&... own) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  m.def(
      name,
      [kernel](py::object src, py::object out, Own... given, py::object slope, py::object intercept, py::object low,
               py::object high, py::object scale, py::object offset, py::object quant_scale, py::object zero_point,
               int threads) {
        kernel(src, out, given..., MapKeywords{slope, intercept, low, high, scale, offset, quant_scale, zero_point},
               threads);
      },
      py::arg("src"), py::arg("out"), own..., py::arg("slope") = 1.0, py::arg("intercept") = 0.0,
      py::arg("low") = -infinity, py::arg("high") = infinity, py::arg("scale") = 1.0, py::arg("offset") = 0.0,
      py::arg("quant_scale") = 1.0, py::arg("zero_point") = 0, py::arg("threads") = 0, doc.c_str());
}

}  // namespace bedside::bindings
