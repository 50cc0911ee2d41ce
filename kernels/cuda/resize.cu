#include "resize.h"

#include "launches.h"

namespace bedside::cuda {

cudaError_t resize(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how, void* workspace,
                   cudaStream_t stream) {
  return resize(src, out, how, workspace, Stream{stream});
}

std::size_t resize_bytes(const cpu::ConstImages& src, const cpu::Images& out, const cpu::Resize& how) {
  return resize_workspace(src, out, how);
}

}  // namespace bedside::cuda
