// Makes a failing row small and plain while it still fails, and prints what is left.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/cuda/sample_check.h"

namespace fire::test {

using Fails = std::function<bool(const RowCase&)>;

// Tries the shortest prefix first, then plain values in each field of the record, then masks in place of logits.
inline RowCase Shrunk(RowCase row, const Fails& fails) {
  const auto try_change = [&](const std::function<void(RowCase&)>& change) {
    RowCase smaller = row;
    change(smaller);
    if (fails(smaller)) row = std::move(smaller);
  };
  for (size_t length = 1; length < row.logits.size(); length *= 2) {
    RowCase smaller = row;
    smaller.logits.resize(length);
    if (!fails(smaller)) continue;
    row = std::move(smaller);
    break;
  }
  const Record plain = PlainRecord();
  for (int word = 0; word < kRecordWords; ++word)
    try_change([&](RowCase& smaller) {
      std::memcpy(reinterpret_cast<char*>(&smaller.record) + 4 * word, reinterpret_cast<const char*>(&plain) + 4 * word,
                  4);
    });
  try_change([](RowCase& smaller) { smaller.step = 0; });
  for (size_t run = row.logits.size() / 2; run >= 1 && run * 64 >= row.logits.size(); run /= 2)
    for (size_t begin = 0; begin < row.logits.size(); begin += run)
      try_change([&](RowCase& smaller) {
        const size_t end = std::min(begin + run, smaller.logits.size());
        std::fill(smaller.logits.begin() + static_cast<std::ptrdiff_t>(begin),
                  smaller.logits.begin() + static_cast<std::ptrdiff_t>(end), -kInfinity);
      });
  return row;
}

inline std::string WordsOf(const Record& record) {
  uint32_t words[kRecordWords];
  std::memcpy(words, &record, sizeof record);
  std::string text;
  char word[16];
  for (uint32_t w : words) std::snprintf(word, sizeof word, " %08X", w), text += word;
  return text;
}

// The logits that are not masked, at most `most` of them.
inline std::string LogitsText(const RowCase& row, size_t most = 40) {
  std::string text;
  size_t shown = 0;
  char item[64];
  for (size_t id = 0; id < row.logits.size() && shown < most; ++id) {
    if (row.logits[id] == -kInfinity) continue;
    std::snprintf(item, sizeof item, " %zu: %.9g", id, static_cast<double>(row.logits[id]));
    text += item;
    ++shown;
  }
  return text + (shown == most ? " ..." : "");
}

inline std::string Describe(const RowCase& row) {
  return row.name + ", " + std::to_string(row.logits.size()) + " logits, step " + std::to_string(row.step) + ", " +
         Describe(row.record) + "\n  record" + WordsOf(row.record) + "\n  logits other than -inf" + LogitsText(row);
}

// Runs the batch and reports the first mistake, shrunk, or a launch that failed. True where there is neither.
inline bool ExpectEqualsReference(const SampleCheck& check, const Plan* plan, const Wanted& wanted = {}) {
  const LogitsType type = check.batch().batch().logits_type;
  const std::string where = std::string("\n  ") + NameOf(type) + ", " +
                            (plan == nullptr ? "SampleCuda" : Describe(*plan)) + "\n  " +
                            check.batch().layout().Text() + "\n  " + std::to_string(check.batch().size()) + " rows";
  try {
    const std::optional<Mismatch> found = check.FirstMismatch(plan, wanted);
    if (!found) return true;
    const RowCase& whole = check.cases()[found->row];
    if (!Shrinks()) {
      ADD_FAILURE() << "row " << found->row << ": " << found->what << where << ", this one: " << Describe(whole);
      return false;
    }
    const Fails fails = [&](const RowCase& row) {
      return SampleCheck({row}, type, {}).FirstMismatch(plan, wanted).has_value();
    };
    std::string shrunk = "\n  alone, and laid out plainly, the row passes";
    if (fails(whole)) {
      const RowCase small = Shrunk(whole, fails);
      const auto again = SampleCheck({small}, type, {}).FirstMismatch(plan, wanted);
      shrunk = "\n  shrunk: " + (again ? again->what : "(not every time)") + "\n  " + Describe(small);
    }
    ADD_FAILURE() << "row " << found->row << ": " << found->what << where << ", this one: " << Describe(whole)
                  << shrunk;
  } catch (const std::runtime_error& error) {
    std::string rows;  // the device is lost: which of them it was, it must say itself
    for (const RowCase& row : check.cases())
      rows += "\n  " + row.name + ", step " + std::to_string(row.step) + WordsOf(row.record);
    ADD_FAILURE() << error.what() << where << rows;
  }
  return false;
}

}  // namespace fire::test
