#include "tests/gates/latency/window.h"

#include <algorithm>

namespace fire::latency {

void Window::Open(const Code& code, const std::vector<const simulator::LaunchTrace::Step*>& steps, size_t* at) {
  size_ = first_ = left_ = 0;
  nodes_.resize(kMost);
  while (*at < steps.size() && size_ < kMost) {
    const simulator::LaunchTrace::Step& step = *steps[*at];
    // Lanes that went another way have their turn.
    if (size_ > 0 && step.pc != nodes_[size_ - 1].step->pc + 1) break;
    Node& node = nodes_[size_];
    node.instruction = &code.instructions[static_cast<size_t>(step.pc)];
    node.step = &step;
    node.operands = 0;
    node.done = kNotYet;
    node.producers.clear();
    for (const int read : node.instruction->reads) {
      const auto number = static_cast<size_t>(read);
      if (producer_[number] >= 0) {
        node.producers.push_back(producer_[number]);
      } else {
        node.operands = std::max(node.operands, ready_[number]);
      }
    }
    for (const int write : node.instruction->writes) producer_[static_cast<size_t>(write)] = static_cast<int>(size_);
    ++size_;
    ++*at;
    if (node.instruction->IsLast()) break;
  }
  left_ = size_;
}

Cycle Window::OperandsOf(const Node& node) const {
  Cycle ready = node.operands;
  for (const int producer : node.producers) {
    const Cycle done = nodes_[static_cast<size_t>(producer)].done;
    if (done == kNotYet) return kNotYet;
    ready = std::max(ready, done);
  }
  return ready;
}

Window::Pick Window::Next(Cycle now, const Free& free) {
  Pick best;
  bool store_waits = false, memory_waits = false;
  while (first_ < size_ && nodes_[first_].done != kNotYet) ++first_;
  for (size_t i = first_; i < size_; ++i) {
    Node& node = nodes_[i];
    if (node.done != kNotYet) continue;
    const Instruction& one = *node.instruction;
    if (one.IsLast() && left_ > 1) break;
    const bool is_store = one.IsStore();
    const bool must_wait = one.orders && (is_store ? memory_waits : store_waits);
    if (one.orders) memory_waits = true, store_waits |= is_store;
    if (must_wait) continue;
    const Cycle operands = OperandsOf(node);
    if (operands == kNotYet) continue;
    if (one.kind == Kind::kFree) {
      Issue(static_cast<int>(i), operands);
      continue;
    }
    const Cycle ready = std::max({operands, now, free[static_cast<size_t>(one.unit)]});
    if (best.node < 0 || ready < best.ready) best = {static_cast<int>(i), ready};
    if (best.ready <= now) break;
  }
  return best;
}

void Window::Issue(int node, Cycle done) {
  nodes_[static_cast<size_t>(node)].done = done;
  --left_;
}

void Window::Close() {
  for (size_t i = 0; i < size_; ++i) {
    for (const int write : nodes_[i].instruction->writes) {
      const auto number = static_cast<size_t>(write);
      if (producer_[number] < 0) continue;
      ready_[number] = nodes_[static_cast<size_t>(producer_[number])].done;
      producer_[number] = -1;
    }
  }
  size_ = 0;
}

}  // namespace fire::latency
