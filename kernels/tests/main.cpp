#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "isa.h"

namespace bedside::cpu::test {

namespace {

struct Entry {
  const char* name;
  void (*test)(int threads);
};

std::vector<Entry>& entries() {
  static std::vector<Entry> list;
  return list;
}

int failures = 0;

}  // namespace

Test::Test(const char* name, void (*test)(int threads)) {
  entries().push_back({name, test});
}

void expect(bool ok, const char* what, int threads) {
  if (ok) return;
  ++failures;
  std::printf("FAILED: %s, %s, %d threads\n", what, level_name(active_level()), threads);
}

int run() {
  const Levels found = available_levels();
  for (int i = 0; i < found.count; ++i) {
    use_level(found.level[i]);
    const int before = failures;
    for (const Entry& entry : entries()) {
      for (const int threads : {1, 3}) entry.test(threads);
    }
    std::printf("%s: %zu tests %s\n", level_name(found.level[i]), entries().size(),
                failures == before ? "ok" : "FAILED");
  }
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace bedside::cpu::test

int main() {
  return bedside::cpu::test::run();
}
