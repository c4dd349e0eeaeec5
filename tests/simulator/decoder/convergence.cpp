// Immediate post-dominators of branches, by the algorithm of Cooper, Harvey and Kennedy on the reversed flow graph.
#include <algorithm>

#include "tests/simulator/decoder/decoder.h"

namespace fire::simulator {
namespace {

// Where an operation may go on. A call goes on behind itself; `end` stands for leaving the function.
std::vector<int32_t> Successors(const Program& program, int32_t at, int32_t end) {
  const Op& op = program.code[static_cast<size_t>(at)];
  std::vector<int32_t> out;
  const bool sure = op.guard < 0;
  switch (op.step) {
    case Step::kBranch:
      out.push_back(op.target);
      if (!sure) out.push_back(at + 1);
      break;
    case Step::kTable:
      out = program.tables[op.extra];
      if (!sure) out.push_back(at + 1);
      break;
    case Step::kReturn:
    case Step::kExit:
    case Step::kTrap:
      out.push_back(end);
      if (!sure) out.push_back(at + 1);
      break;
    default:
      out.push_back(at + 1);
  }
  return out;
}

}  // namespace

void FindConvergence(Program& program) {
  const int32_t end = static_cast<int32_t>(program.code.size());
  std::vector<std::vector<int32_t>> next(static_cast<size_t>(end)), before(static_cast<size_t>(end) + 1);
  for (int32_t at = 0; at < end; ++at) {
    next[at] = Successors(program, at, end);
    for (int32_t to : next[at]) before[to].push_back(at);
  }
  // Postorder of the reversed graph from its root, the end.
  std::vector<int32_t> order, rank(static_cast<size_t>(end) + 1, -1);
  std::vector<std::pair<int32_t, size_t>> stack{{end, 0}};
  std::vector<bool> seen(static_cast<size_t>(end) + 1);
  seen[end] = true;
  while (!stack.empty()) {
    auto& [at, i] = stack.back();
    if (i < before[at].size()) {
      const int32_t to = before[at][i++];
      if (!seen[to]) {
        seen[to] = true;
        stack.emplace_back(to, 0);
      }
    } else {
      rank[at] = static_cast<int32_t>(order.size());
      order.push_back(at);
      stack.pop_back();
    }
  }
  std::vector<int32_t> post(static_cast<size_t>(end) + 1, -1);
  post[end] = end;
  const auto meet = [&](int32_t a, int32_t b) {
    while (a != b) {
      while (rank[a] < rank[b]) a = post[a];
      while (rank[b] < rank[a]) b = post[b];
    }
    return a;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order.size() - 1; i-- > 0;) {
      const int32_t at = order[i];
      int32_t found = -1;
      for (int32_t to : next[at]) {
        if (rank[to] >= 0 && post[to] >= 0) found = found < 0 ? to : meet(found, to);
      }
      if (found != post[at]) {
        post[at] = found;
        changed = true;
      }
    }
  }
  for (int32_t at = 0; at < end; ++at) {
    const bool divides = next[at].size() > 1 || program.code[at].step == Step::kTable;
    program.code[at].converge = divides && post[at] >= 0 && post[at] < end ? post[at] : -1;
  }
}

}  // namespace fire::simulator
