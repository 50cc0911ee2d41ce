// The docstring of a kernel, with the parts that all have.
#pragma once

#include <string>

namespace bedside::bindings {

// `text` ends with the parameters before `threads`; `refused` says what is a ValueError, `returns` what comes back.
inline std::string documented(const std::string& text, const std::string& refused, const std::string& returns = "") {
  return text + "threads : at most so many; 0 is the process's thread budget\n\n" +
         (returns.empty() ? "" : "Returns\n-------\n" + returns + "\n") + "Raises\n------\nValueError\n    " + refused +
         "; the argument is named.\n";
}

}  // namespace bedside::bindings
