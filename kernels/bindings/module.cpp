#include <pybind11/pybind11.h>

#include <stdexcept>

#include "../cpu/isa.h"
#include "../cpu/thread_pool.h"
#include "bindings.h"

namespace cpu = bedside::cpu;
namespace py = pybind11;

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "Pre- and post-processing kernels for the CPU.";
  m.def(
      "active_isa", [] { return cpu::level_name(cpu::active_level()); },
      R"(The instruction set whose kernels run: "x86-64-v4" (AVX-512), "x86-64-v3" (AVX2), "x86-64-v2" or "aarch64" (NEON).

The best this CPU has, or the one the environment variable BEDSIDE_KERNEL_ISA names (RuntimeError, here and
from every kernel, if the CPU lacks it).
The numbers are the same with each.
)");
  m.def(
      "thread_budget", [] { return cpu::thread_budget(); },
      R"(How many threads a kernel called with ``threads=0`` uses at most.

What :func:`set_thread_budget` was given, or every core of the process's affinity mask. Whatever else computes in this
process, a network above all, keeps to it too.
)");
  m.def(
      "set_thread_budget",
      [](int threads) {
        if (threads < 0) throw std::invalid_argument("threads must not be negative");
        cpu::set_thread_budget(threads);
      },
      py::arg("threads"),
      R"(Set how many threads the whole process is to use at a time; 0 goes back to every core of its affinity mask.

Raises
------
ValueError
    A negative number.
)");
  bind_elementwise(m);
  bind_stored(m);
  bind_resample(m);
  bind_resize(m);
  bind_window(m);
  bind_scores(m);
  bind_segmentation(m);
  bind_statistics(m);
  bind_components(m);
  bind_morphology(m);
  bind_detections(m);
  bind_dicom(m);
}
