// Connected components of a label map, found on runs: stretches of one label along x.
//
// Runs are numbered in raster order and the root of a set is its first run, so the sets, and the numbers they get in
// the order of their roots, do not depend on the order in which runs were joined (union-find with path halving, Tarjan
// and van Leeuwen 1984).
#pragma once

#include "bedside/host_device.h"

namespace bedside {

struct Run {
  std::int32_t begin, end;  // half-open, along x
  std::uint32_t
      number;  // while components are joined a run of the same one that is not later; then the component, from 1
  std::uint32_t label;
};

BEDSIDE_HD std::uint32_t find_root(Run* runs, std::uint32_t i) {
  while (runs[i].number != i) {
    const std::uint32_t parent = runs[i].number, above = runs[parent].number;
    runs[i].number = above;
    i = above;
  }
  return i;
}

BEDSIDE_HD void unite(Run* runs, std::uint32_t a, std::uint32_t b) {
  a = find_root(runs, a);
  b = find_root(runs, b);
  if (a < b) {
    runs[b].number = a;
  } else {
    runs[a].number = b;
  }
}

// Joins the runs [i, i_end) of one row with those [j, j_end) of a neighbouring one where they have the same label and
// share an x, or, with reach 1, where they touch across a corner (reach 0: they do not).
BEDSIDE_HD void join_rows(Run* runs, std::uint32_t i, std::uint32_t i_end, std::uint32_t j, std::uint32_t j_end,
                          std::int32_t reach) {
  while (i < i_end && j < j_end) {
    const std::int32_t a_end = runs[i].end, b_end = runs[j].end;
    if (a_end + reach <= runs[j].begin) {
      ++i;
    } else if (b_end + reach <= runs[i].begin) {
      ++j;
    } else {
      if (runs[i].label == runs[j].label) unite(runs, i, j);
      if (a_end < b_end) {
        ++i;
      } else if (a_end > b_end || reach == 0) {
        ++j;
      } else {
        // Both end here: each may still touch a run of the other row that begins here.
        if (j + 1 < j_end && runs[j + 1].begin == a_end && runs[j + 1].label == runs[i].label) unite(runs, i, j + 1);
        ++i;
      }
    }
  }
}

}  // namespace bedside
