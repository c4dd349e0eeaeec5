// run_row [--chain [--warp=N]] LOGITS RECORD TYPE TASK ROWS…: samples one row once for each of ROWS, by the launch that
// a batch of so many rows gets, on the simulated device. Prints a line of JSON for each: what the row issues, and the
// cycles of such a batch on an H200 as the latency model (latency/) has them. With --chain, the model's phases in
// words, and when warp N of the leading block issues what.
//
// LOGITS and RECORD are files of raw bytes; TYPE is float32 or bfloat16; TASK token, logprobs, reference, group (of 64)
// or support (of 64 tokens).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/cuda/device_memory.h"
#include "tests/gates/latency/replay.h"
#include "tests/simulator/simulator.h"

namespace fire {
namespace {

using simulator::LaunchTrace;
using simulator::LaunchWork;
using test::DeviceArray;

constexpr int64_t kMembers = 64;  // of a group, and tokens of a support

std::vector<char> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

// One row, and how it is sampled.
class Row {
 public:
  Row(const std::string& logits_path, const std::string& record_path, bool is_float, std::string task)
      : task_(std::move(task)), logits_(ReadFile(logits_path)), record_(ReadFile(record_path)) {
    batch_.logits = logits_.get();
    batch_.logits_type = is_float ? LogitsType::kFloat32 : LogitsType::kBFloat16;
    batch_.rows = batch_.record_count = 1;
    const std::streamoff bytes = std::ifstream(logits_path, std::ios::binary | std::ios::ate).tellg();
    batch_.vocabulary = batch_.row_stride = bytes / (is_float ? 4 : 2);
    batch_.step = step_.get();
    batch_.records = reinterpret_cast<const Record*>(record_.get());
    outputs_.token = token_.get();
    outputs_.reference = task_ == "reference";
    if (task_ != "logprobs" && task_ != "reference") return;
    outputs_.logprob = logprob_.get();
    outputs_.ref_logprob = ref_logprob_.get();
    outputs_.rank = rank_.get();
    outputs_.kept = kept_.get();
    outputs_.status = status_.get();
  }

  kernels::Plan PlanOf(int64_t rows) const {
    using kernels::Task;
    const Task task = task_ == "reference" ? Task::kSampleWithReference
                      : task_ == "group"   ? Task::kSampleGroup
                      : task_ == "support" ? Task::kSampleWithSupport
                                           : Task::kSample;
    return kernels::PlanFor(task, rows, batch_.vocabulary, batch_.logits_type, kernels::CurrentDevice());
  }

  LaunchWork Sample(const kernels::Plan& plan) const {
    if (task_ == "group") {
      kernels::SampleGroupWithPlan(batch_, kMembers, outputs_, plan, nullptr);
    } else if (task_ == "support") {
      kernels::SampleWithSupportWithPlan(batch_, {kMembers, support_.get(), support_logprob_.get()}, outputs_, plan,
                                         nullptr);
    } else {
      kernels::SampleWithPlan(batch_, outputs_, plan, nullptr);
    }
    test::ThrowOnError(cudaDeviceSynchronize(), "launch");
    return std::move(simulator::TakeWork().at(0));
  }

  double bytes() const { return static_cast<double>(batch_.vocabulary * BytesOf(batch_.logits_type)); }

 private:
  static int64_t BytesOf(LogitsType type) { return type == LogitsType::kFloat32 ? 4 : 2; }

  const std::string task_;
  const DeviceArray<char> logits_, record_;
  const DeviceArray<int64_t> step_{std::vector<int64_t>{0}}, token_{kMembers};
  const DeviceArray<float> logprob_{1}, ref_logprob_{1}, support_logprob_{kMembers};
  const DeviceArray<int32_t> rank_{1}, kept_{1}, status_{1}, support_{kMembers};
  Batch batch_;
  SampleOutputs outputs_;
};

// Of a kernel that is built for two blocks of 512 threads, all of whose shared memory is dynamic.
int BlocksOfMultiprocessor(const kernels::Plan& plan) {
  constexpr int kRegisters = 64;
  const simulator::DeviceDescription& device = simulator::GetDeviceDescription(0);
  const size_t shared = plan.shared_bytes + device.shared_reserved_per_block;
  return std::min({device.threads_per_multiprocessor / plan.threads, (1 << 16) / (kRegisters * plan.threads),
                   static_cast<int>(device.shared_per_multiprocessor / shared)});
}

latency::Batch BatchOf(int64_t rows, const kernels::Plan& plan, const latency::Machine& machine) {
  const int sets = latency::SetsOf(machine, plan.cluster);
  const int64_t of_set = (rows + sets - 1) / sets;
  return {rows, of_set, static_cast<int>(std::min<int64_t>(of_set, BlocksOfMultiprocessor(plan)))};
}

// Where rows issue very much, those beside each other are replayed, and stand for the waves behind them.
latency::Replayed Model(const LaunchWork& work, const latency::Code& code, const latency::Machine& machine,
                        const latency::Batch& batch) {
  constexpr uint64_t kMostInstructions = 2'000'000;
  latency::Batch part = batch;
  if (static_cast<uint64_t>(batch.rows) * work.instructions > kMostInstructions) {
    part.rows = batch.at_once;
    part.all = std::max(part.rows, batch.all * part.rows / batch.rows);
  }
  latency::Replayed found = latency::Replay(work.trace, code, machine, part);
  found.cycles *= (batch.rows + part.rows - 1) / part.rows;
  return found;
}

// Bytes of machine code that the row came by, in lines of 128.
size_t CodeBytes(const LaunchTrace& trace, const latency::Code& code) {
  std::vector<size_t> line_of;
  size_t slots = 0;
  for (const latency::Instruction& one : code.instructions) {
    line_of.push_back(slots / 8);
    slots += static_cast<size_t>(one.slots);
  }
  std::set<size_t> lines;
  for (const auto& block : trace.blocks) {
    for (const LaunchTrace::Step& step : block) lines.insert(line_of[static_cast<size_t>(step.pc)]);
  }
  return 128 * lines.size();
}

// Issue slots of each block: its instructions, without those that ptxas folds into others.
std::vector<int64_t> SlotsOf(const LaunchTrace& trace, const latency::Code& code) {
  std::vector<int64_t> slots;
  for (const auto& block : trace.blocks) {
    slots.push_back(0);
    for (const LaunchTrace::Step& step : block) {
      slots.back() += code.instructions[static_cast<size_t>(step.pc)].slots;
    }
  }
  return slots;
}

// What the user asks to be told beside a line of the table.
struct Telling {
  bool chain = false;
  int warp = -1;
};

void PrintChain(const LaunchTrace& trace, const latency::Replayed& found) {
  const auto place = [&trace](int32_t pc) {
    const LaunchTrace::Instruction& one = trace.code[static_cast<size_t>(pc)];
    return one.file.substr(one.file.rfind('/') + 1) + ":" + std::to_string(one.line);
  };
  for (const latency::Issue& issue : found.issues) {
    std::printf("%8lld  %-24s %s\n", static_cast<long long>(issue.at), place(issue.pc).c_str(),
                trace.code[static_cast<size_t>(issue.pc)].text.c_str());
  }
  latency::Cycle before = 0;
  for (const latency::Phase& phase : found.phases) {
    const std::string what = phase.pc < 0 ? "end" : place(phase.pc);
    std::printf("%8lld  +%6lld  %-24s warps arrive %lld to %lld, the last is %u:", static_cast<long long>(phase.end),
                static_cast<long long>(phase.end - before), what.c_str(), static_cast<long long>(phase.first),
                static_cast<long long>(phase.last), phase.warp);
    for (size_t i = 0; i < std::min<size_t>(4, phase.parts.size()); ++i) {
      std::printf(" %s %lld", place(phase.parts[i].pc).c_str(), static_cast<long long>(phase.parts[i].cycles));
    }
    std::printf("\n");
    before = phase.end;
  }
}

// A plan, and what a row issues by it.
struct Traced {
  kernels::Plan plan;
  LaunchWork work;
  latency::Code code;

  bool Is(const kernels::Plan& other) const {
    return plan.threads == other.threads && plan.cluster == other.cluster && plan.resident == other.resident &&
           plan.pilot_shift == other.pilot_shift;
  }
};

void Print(const Row& row, int64_t rows, const Traced& traced, const Telling& telling) {
  const kernels::Plan& plan = traced.plan;
  const LaunchWork& work = traced.work;
  const latency::Code& code = traced.code;
  const auto replay = [&](const latency::Machine& machine) {
    latency::Batch batch = BatchOf(rows, plan, machine);
    batch.watched = telling.warp;
    return Model(work, code, machine, batch);
  };
  const latency::Replayed best = replay(latency::kBest), plain = replay(latency::kPlain);
  if (telling.chain) PrintChain(work.trace, plain);
  const size_t code_bytes = CodeBytes(work.trace, code);
  const std::vector<int64_t> slots = SlotsOf(work.trace, code);
  const auto microseconds = [](const latency::Machine& machine, const latency::Replayed& found) {
    return machine.launch_us + machine.Microseconds(static_cast<double>(found.cycles));
  };
  const auto cold = [code_bytes](const latency::Machine& machine) {
    return machine.Microseconds(static_cast<double>(code_bytes) / machine.cold_code_bytes * machine.hbm_latency);
  };
  std::printf(
      "{\"rows\": %lld, \"cluster\": %d, \"threads\": %d, \"at_once\": %d, \"busiest\": %lld, \"all\": %lld,"
      " \"block_barriers\": %llu, \"cluster_barriers\": %llu, \"code_bytes\": %zu, \"readings\": %.2f,"
      " \"cycles\": %lld, \"us\": [%.1f, %.1f], \"cold_us\": [%.1f, %.1f]}\n",
      static_cast<long long>(rows), plan.cluster, plan.threads, BatchOf(rows, plan, latency::kPlain).at_once,
      static_cast<long long>(*std::max_element(slots.begin(), slots.end())),
      static_cast<long long>(std::accumulate(slots.begin(), slots.end(), int64_t{0})),
      static_cast<unsigned long long>(work.block_barriers), static_cast<unsigned long long>(work.cluster_barriers),
      code_bytes, plain.hbm_bytes / row.bytes(), static_cast<long long>(plain.cycles),
      microseconds(latency::kBest, best), microseconds(latency::kPlain, plain), cold(latency::kBest),
      cold(latency::kPlain));
  std::fflush(stdout);
}

void Run(const std::vector<std::string>& arguments, const Telling& telling) {
  simulator::Behaviour behaviour = simulator::GetBehaviour();
  behaviour.launch.count_work = behaviour.launch.trace = true;
  simulator::SetBehaviour(behaviour);
  const Row row(arguments[0], arguments[1], arguments[2] == "float32", arguments[3]);
  std::optional<Traced> traced;
  for (size_t i = 4; i < arguments.size(); ++i) {
    const int64_t rows = std::atoll(arguments[i].c_str());
    const kernels::Plan plan = row.PlanOf(rows);
    if (!traced || !traced->Is(plan)) {
      traced.emplace(Traced{plan, row.Sample(plan), {}});
      traced->code = latency::CostsOf(traced->work.trace.code);
    }
    Print(row, rows, *traced, telling);
  }
}

}  // namespace
}  // namespace fire

int main(int count, char** values) {
  std::vector<std::string> arguments(values + 1, values + count);
  fire::Telling telling;
  telling.chain = !arguments.empty() && arguments[0] == "--chain";
  if (telling.chain) arguments.erase(arguments.begin());
  if (telling.chain && arguments[0].rfind("--warp=", 0) == 0) {
    telling.warp = std::atoi(arguments[0].c_str() + 7);
    arguments.erase(arguments.begin());
  }
  const auto is_one_of = [](const std::string& word, std::initializer_list<const char*> known) {
    return std::find(known.begin(), known.end(), word) != known.end();
  };
  if (arguments.size() < 5 || !is_one_of(arguments[2], {"float32", "bfloat16"}) ||
      !is_one_of(arguments[3], {"token", "logprobs", "reference", "group", "support"})) {
    std::fputs(
        "usage: run_row [--chain [--warp=N]] LOGITS RECORD float32|bfloat16 token|logprobs|reference|group|support "
        "ROWS...\n",
        stderr);
    return 2;
  }
  try {
    fire::Run(arguments, telling);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_row: %s\n", error.what());
    return 1;
  }
}
