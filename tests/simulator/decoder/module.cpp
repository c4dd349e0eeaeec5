// A module: its variables laid out in host memory, its kernels decoded when they are first needed.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/decoder/ptx_text.h"
#include "tests/simulator/machine/machine.h"

namespace fire::simulator {

struct Module::State {
  text::Source source;
  std::vector<Variable> variables;
  std::map<std::string, Variable> by_name;
  std::unique_ptr<uint8_t[]> memory;
  struct Kernel {
    const text::Function* function = nullptr;
    KernelInfo info;
    std::unique_ptr<Program> program;
    std::unique_ptr<SimulationError> error;
  };
  mutable std::mutex mutex;
  std::map<std::string, Kernel> kernels;

  Kernel& Decoded(const std::string& name);
  void LayOut();
  void Initialise(const text::Declaration& declaration, uint8_t* to) const;
};

namespace {

constexpr size_t kVariableAlign = 256;

// .maxntid 128, 1, 1 and the like, from the directives of a kernel.
std::vector<uint32_t> DirectiveNumbers(const std::string& directives, const std::string& name) {
  std::vector<uint32_t> out;
  const size_t at = directives.find(name);
  if (at == std::string::npos) return out;
  std::string_view rest = std::string_view(directives).substr(at + name.size());
  rest = rest.substr(0, rest.find('.'));
  for (const std::string& one : text::SplitOperands(rest)) {
    out.push_back(static_cast<uint32_t>(std::strtoul(one.c_str(), nullptr, 0)));
  }
  return out;
}

void ReadDirectives(const std::string& directives, KernelInfo& info) {
  for (const char* name : {".maxntid", ".reqntid"}) {
    const std::vector<uint32_t> sizes = DirectiveNumbers(directives, name);
    if (sizes.empty()) continue;
    info.max_threads = 1;
    for (uint32_t size : sizes) info.max_threads *= size;
  }
  std::vector<uint32_t> cluster = DirectiveNumbers(directives, ".reqnctapercluster");
  if (!cluster.empty()) {
    cluster.resize(3, 1);
    info.required_cluster = {cluster[0], cluster[1], cluster[2]};
  }
}

}  // namespace

// 5, {1, 2, 3}, {generic(name), 0}; floats as their bits.
void Module::State::Initialise(const text::Declaration& declaration, uint8_t* to) const {
  std::string flat;
  for (char c : declaration.initialiser) flat += c == '{' || c == '}' ? ' ' : c;
  for (std::string one : text::SplitOperands(flat)) {
    uint64_t value;
    if (const size_t open = one.find('('); open != std::string::npos) {
      one = one.substr(open + 1, one.find(')') - open - 1);
    }
    if (const auto it = by_name.find(one); it != by_name.end()) {
      value = reinterpret_cast<uint64_t>(it->second.address);
    } else if (one.size() > 2 && one[0] == '0' && std::strchr("fFdD", one[1])) {
      value = std::strtoull(one.c_str() + 2, nullptr, 16);
    } else {
      char* end = nullptr;
      value = one[0] == '-' ? static_cast<uint64_t>(std::strtoll(one.c_str(), &end, 0))
                            : std::strtoull(one.c_str(), &end, 0);
      if (*end && *end != 'U') throw std::invalid_argument("initialiser of " + declaration.name + ": " + one);
    }
    std::memcpy(to, &value, std::min<size_t>(declaration.element, 8));
    to += declaration.element;
  }
}

void Module::State::LayOut() {
  size_t end = 0;
  std::vector<std::pair<const text::Declaration*, size_t>> places;
  const auto place = [&](const text::Declaration& one, bool constant) {
    end = (end + kVariableAlign - 1) / kVariableAlign * kVariableAlign;
    places.emplace_back(&one, end);
    variables.push_back({one.name, nullptr, one.size, constant});
    end += one.size;
  };
  for (const text::Declaration& one : source.globals) place(one, false);
  for (const text::Declaration& one : source.constants) place(one, true);
  memory.reset(new uint8_t[end + kVariableAlign]());
  uint8_t* const base = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.get()) + kVariableAlign - 1) &
                                                   ~uintptr_t{kVariableAlign - 1});
  for (size_t i = 0; i < variables.size(); ++i) {
    variables[i].address = base + places[i].second;
    by_name[variables[i].name] = variables[i];
  }
  for (const auto& [declaration, at] : places) Initialise(*declaration, base + at);
}

Module::State::Kernel& Module::State::Decoded(const std::string& name) {
  const auto it = kernels.find(name);
  if (it == kernels.end()) throw std::invalid_argument("the module has no kernel " + name);
  Kernel& kernel = it->second;
  const std::lock_guard lock(mutex);
  if (!kernel.program && !kernel.error) {
    try {
      kernel.program = Decoder(source, by_name).Run(*kernel.function);
      const KernelInfo declared = kernel.info;
      kernel.program->info.max_threads = declared.max_threads;
      kernel.program->info.required_cluster = declared.required_cluster;
      kernel.info = kernel.program->info;
    } catch (const SimulationError& error) {
      kernel.error = std::make_unique<SimulationError>(error);
    }
  }
  return kernel;
}

Module::Module() : state_(std::make_unique<State>()) {}
Module::~Module() = default;

std::unique_ptr<Module> Module::Parse(std::string ptx) {
  std::unique_ptr<Module> module(new Module);
  State& state = *module->state_;
  state.source = text::Read(ptx);
  state.LayOut();
  for (const text::Function& function : state.source.functions) {
    if (!function.entry) continue;
    State::Kernel& kernel = state.kernels[function.name];
    kernel.function = &function;
    kernel.info.name = function.name;
    ReadDirectives(function.directives, kernel.info);
  }
  return module;
}

int Module::target() const { return state_->source.target; }

std::vector<std::string> Module::KernelNames() const {
  std::vector<std::string> names;
  for (const auto& [name, kernel] : state_->kernels) names.push_back(name);
  return names;
}

const KernelInfo* Module::FindKernel(const std::string& name) const {
  return state_->kernels.count(name) ? &state_->Decoded(name).info : nullptr;
}

const Variable* Module::FindVariable(const std::string& name) const {
  const auto it = state_->by_name.find(name);
  return it == state_->by_name.end() ? nullptr : &it->second;
}

const std::vector<Variable>& Module::variables() const { return state_->variables; }

const Program& Module::Decode(const std::string& kernel) const {
  State::Kernel& decoded = state_->Decoded(kernel);
  if (decoded.error) throw *decoded.error;
  return *decoded.program;
}

}  // namespace fire::simulator
