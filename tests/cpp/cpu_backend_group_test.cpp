// A group is its members one by one, and a coded draw is the reference's, on every instruction set that runs here.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "cpu/group_memory.h"
#include "cpu_backend_rows.h"
#include "definition/reference.h"
#include "sample_arrays.h"

namespace fire::test {
namespace {

using cpu::RowFunctions;
using cpu::RowTask;
using definition::ReferenceRow;
using definition::ReferenceSample;

constexpr uint32_t kSizes[] = {1, 2, 3, 7, 16, 64};

void Run(const RowFunctions& functions, const RowTask& task, uint32_t size, const SampleOutputs& outputs,
         cpu::Workspace& workspace) {
  const bool reference = outputs.ref_logprob != nullptr || outputs.rank != nullptr;
  cpu::GroupMemory memory(reference ? size : 0);
  functions.sample_group(task, {size, reference, memory.scratch()}, outputs, workspace);
}

SampleArrays GroupOf(const RowFunctions& functions, const RowTask& task, uint32_t size, cpu::Workspace& workspace) {
  SampleArrays group(1, size);
  Run(functions, task, size, group.Outputs(), workspace);
  return group;
}

RowTask MemberTask(const RowTask& task, uint32_t size, uint32_t member) {
  RowTask out = task;
  out.record = definition::MemberRecord(task.record, size, member);
  return out;
}

// Every member against `sample` of its record, and some against the reference.
std::string Difference(const SampleArrays& group, const RowFunctions& functions, const RowTask& task,
                       const TypedRow& row, Random& random, cpu::Workspace& workspace) {
  const uint32_t size = static_cast<uint32_t>(group.token.size());
  const auto where = [](uint32_t member, const std::string& what) {
    return "member " + std::to_string(member) + ": " + what;
  };
  for (uint32_t member = 0; member < size; ++member) {
    const RowSample wanted = functions.sample(MemberTask(task, size, member), {true, true}, workspace);
    const std::string what = SampleDifference(group.Member(member), wanted);
    if (!what.empty()) return where(member, what + " of sample");
  }
  for (int i = 0; i < 2; ++i) {
    const uint32_t member = random.Below(size);
    const Record record = definition::MemberRecord(task.record, size, member);
    const ReferenceRow reference(row.values().data(), row.size(), record, task.step);
    const std::string what = SampleDifference(group.Member(member), reference.Sample());
    if (!what.empty()) return where(member, what + " of the reference");
  }
  return "";
}

// What is asked for beside the token changes no output.
std::string DifferenceOfParts(SampleArrays& group, const RowFunctions& functions, const RowTask& task, Random& random,
                              cpu::Workspace& workspace) {
  const uint32_t size = static_cast<uint32_t>(group.token.size());
  SampleArrays part(1, size);
  SampleOutputs outputs = part.Outputs();
  const uint32_t wanted = random.Below(32);
  if ((wanted & 1) == 0) outputs.logprob = nullptr, part.logprob = group.logprob;
  if ((wanted & 2) == 0) outputs.ref_logprob = nullptr, part.ref_logprob = group.ref_logprob;
  if ((wanted & 4) == 0) outputs.rank = nullptr, part.rank = group.rank;
  if ((wanted & 8) == 0) outputs.kept = nullptr, part.kept = group.kept;
  if ((wanted & 16) == 0) outputs.status = nullptr, part.status = group.status;
  Run(functions, task, size, outputs, workspace);
  for (uint32_t member = 0; member < size; ++member) {
    const std::string what = SampleDifference(part.Member(member), group.Member(member));
    if (!what.empty()) return what + " where asked for " + std::to_string(wanted);
  }
  return "";
}

std::string CodedDifference(const RowFunctions& functions, const RowTask& task, const TypedRow& row, Random& random,
                            cpu::Workspace& workspace) {
  const ReferenceRow reference(row.values().data(), row.size(), task.record, task.step);
  const uint64_t first = definition::FirstCode(task.record, task.step);
  for (const uint64_t code : {first, random.Bits(), uint64_t{0}, ~uint64_t{0}}) {
    const auto wanted = reference.SampleCoded(code);
    const cpu::CodedSample ours = functions.sample_coded(task, code, workspace);
    if (ours.token != wanted.token) return "coded token";
    if (ours.code != wanted.code) return "code";
    if (code == first && ours.token != reference.Sample().token) return "token of the first code";
  }
  return "";
}

void CompareRows(uint64_t seed, int rows, uint32_t largest_vocabulary) {
  Random random(seed);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (int i = 0; i < rows; ++i) {
    const TroublesomeTask made(random, largest_vocabulary);
    const RowTask task = made.ToTask();
    const uint32_t size = random.Below(8) == 0 ? 1 + random.Below(100) : random.Pick(kSizes);
    for (const RowFunctions* functions : cpu::RunnableRowFunctions()) {
      SampleArrays group = GroupOf(*functions, task, size, *workspace);
      std::string difference = Difference(group, *functions, task, made.row, random, *workspace);
      if (difference.empty()) difference = DifferenceOfParts(group, *functions, task, random, *workspace);
      if (difference.empty()) difference = CodedDifference(*functions, task, made.row, random, *workspace);
      ASSERT_EQ(difference, "") << functions->name << ", row " << i << ": group of " << size << ", " << made.Text();
    }
  }
}

TEST(CpuBackendGroup, EqualsItsMembersOnTwentyThousandSmallRows) { CompareRows(1, 20000, 300); }
TEST(CpuBackendGroup, EqualsItsMembersOnRowsBeyondTheCandidateList) { CompareRows(2, 60, 40000); }

// 65,536 members of a row: of every design, listed or not, with more and with fewer tokens than members.
void CompareLargestGroup(const TypedRow& row, const Record& record, uint32_t stride) {
  constexpr uint32_t kSize = static_cast<uint32_t>(kMaxGroupSize);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (uint32_t design = 0; design <= static_cast<uint32_t>(Design::kEnumerated); ++design) {
    RowTask task = {row.data(), row.type(), row.size(), 0, record};
    task.record.flags |= design << kDesignShift;
    for (const RowFunctions* functions : cpu::RunnableRowFunctions()) {
      const SampleArrays group = GroupOf(*functions, task, kSize, *workspace);
      for (uint32_t member = 0; member < kSize; member += stride) {
        const RowSample wanted = functions->sample(MemberTask(task, kSize, member), {true, true}, *workspace);
        ASSERT_EQ(SampleDifference(group.Member(member), wanted), "")
            << functions->name << ", design " << design << ", member " << member;
      }
    }
  }
}

TEST(CpuBackendGroup, The65536MembersOfASmallRowAreEachTheirOwnRecords) {
  Random random(3);
  std::vector<float> logits(60);
  for (float& x : logits) x = static_cast<float>(static_cast<int>(4 * random.Bell()));
  const TypedRow row(logits, LogitsType::kFloat32);
  CompareLargestGroup(row, OpenRecord(Design::kNone, 5), 1);
  Record filtered = OpenRecord(Design::kNone, 6);
  filtered.hot_top_k = 20;
  filtered.hot_top_p = 0.9f;
  CompareLargestGroup(row, filtered, 7);
}

TEST(CpuBackendGroup, The65536MembersOfARowBeyondTheCandidateListAreEachTheirOwnRecords) {
  Random random(4);
  std::vector<float> logits(30000);
  for (float& x : logits) x = static_cast<float>(random.Bell());
  CompareLargestGroup(TypedRow(logits, LogitsType::kFloat32), OpenRecord(Design::kNone, 5), 997);
  CompareLargestGroup(TypedRow(logits, LogitsType::kBFloat16), OpenRecord(Design::kNone, 6), 997);
}

// An enumerated group of more tokens than the candidate list holds, with ties across its parts.
TEST(CpuBackendGroup, EnumeratedTokensAreTheKeptSetInItsOrderHoweverManyThereAre) {
  Random random(5);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (const uint32_t vocabulary : {100u, 8192u, 8193u, 40000u, 90000u}) {
    for (const uint32_t top_k : {0u, 9000u, 20000u}) {
      for (const double steps : {2.0, 40.0, 1e6}) {
        std::vector<float> logits(vocabulary);
        for (float& x : logits) x = static_cast<float>(static_cast<int>(steps * random.Bell()) / steps);
        for (int i = 0; i < 5; ++i) logits[random.Below(vocabulary)] = -kInfinity;
        const TypedRow row(logits, LogitsType::kFloat32);
        RowTask task = {row.data(), row.type(), row.size(), 0, OpenRecord(Design::kEnumerated, 1)};
        task.record.hot_top_k = static_cast<int32_t>(top_k);
        const ReferenceRow reference(
            row.values().data(), vocabulary, task.record, 1,
            {1.0f, definition::Heat::kFinite, definition::EffectiveTopK(task.record.hot_top_k, vocabulary), 1.0f, 0.0f,
             Order::kHf, Ties::kExact, true});
        std::vector<uint32_t> ids = reference.Sample().kept_ids;
        std::sort(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) {
          return definition::Entry(definition::Key(logits[a]), a) > definition::Entry(definition::Key(logits[b]), b);
        });
        for (const RowFunctions* functions : cpu::RunnableRowFunctions()) {
          const SampleArrays group = GroupOf(*functions, task, static_cast<uint32_t>(kMaxGroupSize), *workspace);
          for (size_t member = 0; member < group.token.size(); ++member)
            ASSERT_EQ(group.token[member], ids[member % ids.size()])
                << functions->name << ", V = " << vocabulary << ", k = " << top_k << ", member " << member;
          ASSERT_EQ(static_cast<size_t>(group.kept[0]), ids.size());
        }
      }
    }
  }
}

}  // namespace
}  // namespace fire::test
