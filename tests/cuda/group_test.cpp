// Groups, whose members are what single draws give their records, and carried codes: every plan against the reference.
#include "definition/code.h"
#include "tests/cuda/group_check.h"
#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

using definition::MemberRecord;
using definition::ReferenceRow;
using kernels::Task;

std::vector<RowCase> SomeCases(Random& random, uint32_t vocabulary, size_t turn, int named, int random_rows) {
  std::vector<RowCase> cases;
  const std::vector<RowCase> all = NamedCases(turn, vocabulary, turn);
  for (int i = 0; i < named; ++i) cases.push_back(all[(turn * named + static_cast<size_t>(i)) % all.size()]);
  for (int i = 0; i < random_rows; ++i)
    cases.push_back(
        {TroublesomeRow(random, vocabulary), TroublesomeRecord(random, vocabulary), random.Below(3), "random row"});
  return cases;
}

class Groups : public testing::TestWithParam<Shape> {};

TEST_P(Groups, EachMemberIsASingleDrawInEveryBit) {
  const auto [type, vocabulary] = GetParam();
  size_t turn = Seed() * 100 + vocabulary;
  for (const Plan& plan : PlansHere(Task::kSampleGroup, vocabulary, type)) {
    Random random(++turn);
    const uint32_t sizes[] = {1, 2, 3, 5, 8};
    const std::vector<RowCase> cases = SomeCases(random, vocabulary, turn, Scaled(4), Scaled(2));
    Wanted wanted;
    if (turn % 3 == 0) wanted.ref_logprob = wanted.rank = false;
    if (turn % 5 == 0) wanted.kept = wanted.status = false;
    if (turn % 7 == 0) wanted.reference = false;
    ASSERT_NO_FATAL_FAILURE(
        ExpectMembersAreSingleDraws(cases, type, RandomLayout(random, type, cases), random.Pick(sizes), plan, wanted));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Groups,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 700},
                                         Shape{LogitsType::kFloat32, 5000}, Shape{LogitsType::kBFloat16, 5000},
                                         Shape{LogitsType::kFloat16, 33}),
                         NameOfShape);

// More members than a block has threads, in each design: over a row that is listed, also where most of what is kept
// weighs nothing, and over one that is not.
TEST(CudaGroups, MoreMembersThanThreadsAreDrawnInTurns) {
  constexpr uint32_t kVocabulary = 2500, kSize = 150;
  for (const Plan& plan : PlansHere(Task::kSampleGroup, kVocabulary, LogitsType::kFloat32)) {
    if (plan.threads != 128 || plan.cluster > 2) continue;
    Random random(Seed());
    std::vector<RowCase> cases;
    for (uint32_t design = 0; design < 5; ++design) {
      for (const auto& [k, temperature] : {std::pair{0, 3.0f}, std::pair{20, 3.0f}, std::pair{20, 0.01f}}) {
        RowCase row;
        for (uint32_t id = 0; id < kVocabulary; ++id) row.logits.push_back(Model(random, kVocabulary));
        row.record.hot_temperature = temperature, row.record.hot_top_k = k, row.record.hot_steps = 1;
        row.record.flags = design << kDesignShift;
        row.name = "design " + std::to_string(design);
        cases.push_back(row);
      }
    }
    const Wanted token_only = {false, false, false, false, false, false};
    ASSERT_NO_FATAL_FAILURE(ExpectMembersAreSingleDraws(cases, LogitsType::kFloat32, {}, kSize, plan, {}));
    ASSERT_NO_FATAL_FAILURE(ExpectMembersAreSingleDraws(cases, LogitsType::kFloat32, {}, kSize, plan, token_only));
  }
}

// The same mass at both ends of a row and none between: the fifth member's point is where its second half begins, and
// so where every run of a warp before that ends. Of an unfiltered row, and of one filtered without a list.
TEST(CudaGroups, APointAtTheEndOfAWarpsRunIsOfALaterRun) {
  constexpr uint32_t kVocabulary = 5000, kTokens = 30;
  Random random(Seed());
  std::vector<RowCase> cases;
  for (const int32_t k : {0, 4000}) {
    RowCase row;
    row.logits.assign(kVocabulary, -kInfinity);
    for (uint32_t id = 0; id < kTokens; ++id)
      row.logits[id] = row.logits[kVocabulary - 1 - id] = static_cast<float>(random.Bell());
    row.record = PlainRecord(kFifthMembersDrawOfTheHalf.seed);
    row.record.stream = kFifthMembersDrawOfTheHalf.stream, row.record.top_k = k;
    row.step = kFifthMembersDrawOfTheHalf.step;
    const definition::ReferenceSample fifth =
        ReferenceRow(row.logits.data(), kVocabulary, MemberRecord(row.record, 8, 4), row.step).Sample();
    ASSERT_EQ(fifth.token, kVocabulary - kTokens);
    cases.push_back(row);
  }
  for (const Plan& plan : PlansHere(Task::kSampleGroup, kVocabulary, LogitsType::kFloat32))
    ASSERT_NO_FATAL_FAILURE(ExpectMembersAreSingleDraws(cases, LogitsType::kFloat32, {}, 8, plan, {}));
}

ReferenceRow ReferenceOf(const DeviceBatch& rows, const std::vector<RowCase>& cases, size_t row) {
  const TypedRow& typed = rows.rows()[row];
  return {typed.values().data(), typed.size(), cases[row].record, cases[row].step};
}

// The largest code that draws the same token as `code`, where fresh bits may carry beyond its share.
uint64_t LastCodeOfItsToken(const ReferenceRow& row, uint64_t code) {
  const int64_t token = row.SampleCoded(code).token;
  for (uint64_t step = uint64_t{1} << 63; step != 0; step /= 2)
    if (code <= ~step && row.SampleCoded(code + step).token == token) code += step;
  return code;
}

// A code of 2^63 falls into the middle of the second token: the division that refreshes it meets its divisor's equal.
RowCase ThreeEqualTokens(uint32_t vocabulary) {
  RowCase row;
  row.logits.assign(vocabulary, -kInfinity);
  row.logits[0] = row.logits[vocabulary / 2] = row.logits[vocabulary - 1] = 0;
  row.record = PlainRecord();
  row.name = "three equal tokens";
  return row;
}

class Codes : public testing::TestWithParam<Shape> {};

TEST_P(Codes, TokensAndTheNextCodesAreTheReferences) {
  const auto [type, vocabulary] = GetParam();
  size_t turn = Seed() * 100 + vocabulary;
  for (const Plan& plan : PlansHere(Task::kSample, vocabulary, type)) {
    Random random(++turn);
    std::vector<RowCase> cases = SomeCases(random, vocabulary, turn, Scaled(4), Scaled(2));
    cases.push_back(ThreeEqualTokens(vocabulary));
    for (RowCase& row : cases)
      if ((row.record.flags >> kDesignShift & kDesignMask) == 0)
        row.record.group = static_cast<uint32_t>(random.Bits());  // which is ignored
    const DeviceBatch rows(cases, type, RandomLayout(random, type, cases));
    const size_t stride = 1 + random.Below(2);
    std::vector<uint64_t> code(cases.size() * stride);
    for (size_t row = 0; row < cases.size(); ++row) {
      const uint64_t any = random.Bits();
      const uint64_t ends[] = {0, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1};
      const uint32_t choice = random.Below(4);
      code[row * stride] = choice == 0   ? random.Pick(ends)
                           : choice == 1 ? LastCodeOfItsToken(ReferenceOf(rows, cases, row), any)
                                         : any;
    }
    code[(cases.size() - 1) * stride] = uint64_t{1} << 63;
    const DeviceArray<uint64_t> given(code);
    DeviceArray<int64_t> token(cases.size());
    DeviceArray<uint64_t> next(cases.size());
    kernels::SampleCodedWithPlan(rows.batch(), given.get(), static_cast<int64_t>(stride), token.get(), next.get(), plan,
                                 nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernel of codes");
    row_runs += static_cast<int64_t>(cases.size());
    const std::vector<int64_t> tokens = token.Read();
    const std::vector<uint64_t> codes = next.Read();
    for (size_t row = 0; row < cases.size(); ++row) {
      const ReferenceRow::Coded want = ReferenceOf(rows, cases, row).SampleCoded(code[row * stride]);
      ASSERT_EQ(tokens[row], want.token) << Where(rows, plan) << "\n  " << Describe(cases[row]);
      ASSERT_EQ(codes[row], want.code) << "from code " << code[row * stride] << Where(rows, plan) << "\n  "
                                       << Describe(cases[row]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Codes,
                         testing::Values(Shape{LogitsType::kFloat32, 5000}, Shape{LogitsType::kBFloat16, 700},
                                         Shape{LogitsType::kFloat16, 33}),
                         NameOfShape);

TEST(CudaCodes, ASequencesFirstCodeIsItsDesignsDraw) {
  Random random(Seed());
  std::vector<RowCase> cases;
  for (int row = 0; row < 300; ++row)
    cases.push_back({{0.0f}, TroublesomeRecord(random, 1), random.Below(3), "record"});
  for (int turn = 0; turn < 4; ++turn) {
    const DeviceBatch rows(cases, LogitsType::kFloat32, RandomLayout(random, LogitsType::kFloat32, cases));
    Batch batch = rows.batch();
    batch.logits = nullptr;
    DeviceArray<uint64_t> code(cases.size());
    FirstCodeCuda(batch, code.get(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernel of first codes");
    const std::vector<uint64_t> codes = code.Read();
    for (size_t row = 0; row < cases.size(); ++row)
      ASSERT_EQ(codes[row], definition::FirstCode(cases[row].record, cases[row].step))
          << rows.layout().Text() << "\n  " << Describe(cases[row]);
  }
}

}  // namespace
}  // namespace fire::test
