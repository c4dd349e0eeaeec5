// Where rows lie in memory, which record rules them and which thread reads them changes nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cfenv>
#include <memory>
#include <stdexcept>
#include <string>

#include "batch_support.h"
#include "cpu/thread_pool.h"
#include "cpu_backend_rows.h"
#include "definition/reference.h"
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fire::test {
namespace {

TEST(CpuLayout, AVocabularyOfOneHasOneToken) {
  const BatchRows fixture(3, 1);
  EXPECT_EQ(Tokens(fixture.ToBatch()), std::vector<int64_t>(3, 0));
}

TEST(CpuLayout, PaddingBetweenRowsIsNotRead) {
  const BatchRows fixture(40, 1001);
  std::vector<float> padded(40 * 1030, kInfinity);
  for (size_t row = 0; row < 40; ++row) std::copy_n(&fixture.logits[row * 1001], 1001, &padded[row * 1030]);
  Batch batch = fixture.ToBatch();
  batch.logits = padded.data();
  batch.row_stride = 1030;
  EXPECT_EQ(Tokens(batch), fixture.ExpectedTokens());
}

TEST(CpuLayout, AnyBaseAddressServesEveryTypeAndInstructionSet) {
  Random random(6);
  const auto workspace = std::make_unique<cpu::Workspace>();
  const Record record = BatchRows::Filtered(9);
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16}) {
    std::vector<float> values(1003);
    for (float& x : values) x = static_cast<float>(3 * random.Bell());
    const TypedRow row(values, type);
    const int64_t expected = definition::ReferenceRow(row.values().data(), row.size(), record, 1).Sample().token;
    std::vector<char> bytes(row.bytes() + 64);
    for (size_t offset = 0; offset < 9; ++offset) {
      std::memcpy(bytes.data() + offset, row.data(), row.bytes());
      for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions()) {
        const cpu::RowTask task = {bytes.data() + offset, type, row.size(), 1, record};
        EXPECT_EQ(functions->sample(task, {true, true}, *workspace).token, expected)
            << functions->name << ", type " << static_cast<int>(type) << ", offset " << offset;
      }
    }
  }
}

TEST(CpuLayout, ARowStrideOfZeroReadsOneRowManyTimesAlsoWithOneStepForAll) {
  BatchRows fixture(1, 500);
  for (int64_t row = 1; row < 40; ++row) {
    fixture.records.push_back(BatchRows::Filtered(static_cast<uint64_t>(row)));
    fixture.steps.push_back(row - 20);
  }
  Batch batch = fixture.ToBatch();
  batch.rows = batch.record_count = 40;
  batch.row_stride = 0;
  std::vector<int64_t> token = Tokens(batch);
  for (size_t row = 0; row < 40; ++row)
    EXPECT_EQ(token[row], fixture.Reference(0, fixture.records[row], fixture.steps[row]).Sample().token);
  batch.step_stride = 0;
  token = Tokens(batch);
  for (size_t row = 0; row < 40; ++row)
    EXPECT_EQ(token[row], fixture.Reference(0, fixture.records[row], fixture.steps[0]).Sample().token);
}

TEST(CpuLayout, RowsMoreThanTwoToThe32ElementsApartAreFound) {
  constexpr int64_t kStride = (int64_t{1} << 32) + 7;
  const BatchRows fixture(2, 3000);
  const size_t bytes = (kStride + 3000) * sizeof(float);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* logits = static_cast<float*>(memory);
  std::copy_n(fixture.logits.data(), 3000, logits);
  std::copy_n(fixture.logits.data() + 3000, 3000, logits + kStride);
  Batch batch = fixture.ToBatch();
  batch.logits = logits;
  batch.row_stride = kStride;
  EXPECT_EQ(Tokens(batch), fixture.ExpectedTokens());
  munmap(memory, bytes);
}

TEST(CpuLayout, ARowsTokenDependsOnNeitherTheThreadsNorTheOtherRows) {
  const BatchRows fixture(67, 2000);
  const std::vector<int64_t> expected = fixture.ExpectedTokens();
  EXPECT_EQ(Tokens(fixture.ToBatch()), expected);
  const ParallelFor backwards = [](int64_t count, const ParallelForBody& body) {
    for (int64_t row = count; row > 0; --row) body(row - 1, row);
  };
  EXPECT_EQ(Tokens(fixture.ToBatch(), backwards), expected);
  for (int64_t row = 0; row < 67; ++row) {
    Batch batch = fixture.ToBatch();
    batch.rows = batch.record_count = 1;
    batch.logits = fixture.logits.data() + row * 2000;
    batch.records += row;
    batch.step = fixture.steps.data() + row;
    EXPECT_EQ(Tokens(batch)[0], expected[static_cast<size_t>(row)]);
  }
}

// torch.set_flush_denormal and -ffast-math programs set both flags for a whole process.
TEST(CpuLayout, RoundingModeAndFlushedSubnormalsOfTheCallerChangeNothing) {
  BatchRows fixture(40, 300);
  for (size_t i = 0; i < fixture.logits.size(); ++i) {
    if (i / 300 % 2 == 0) {
      fixture.logits[i] *= 0x1p-128f;  // a whole row of subnormals
    } else if (i % 2 == 0) {
      fixture.logits[i] *= 1e-39f;  // every second one
    }
  }
  const std::vector<int64_t> expected = fixture.ExpectedTokens();
  std::vector<float> processed(fixture.logits.size()), under_pressure(fixture.logits.size());
  ProcessLogitsCpu(fixture.ToBatch(), processed.data(), 300);
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
#if defined(__x86_64__)
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  const unsigned asked = _mm_getcsr();
#endif
  const std::vector<int64_t> token = Tokens(fixture.ToBatch());
  ProcessLogitsCpu(fixture.ToBatch(), under_pressure.data(), 300);
#if defined(__x86_64__)
  EXPECT_EQ(_mm_getcsr() & 0xFFC0, asked & 0xFFC0) << "the caller's settings must come back";
  _mm_setcsr(before);
#endif
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(token, expected);
  EXPECT_EQ(std::memcmp(processed.data(), under_pressure.data(), processed.size() * sizeof(float)), 0);
}

TEST(CpuLayout, AForkedChildDoesNotWaitForItsParentsThreads) {
  const BatchRows fixture(64, 2000);
  const std::vector<int64_t> expected = Tokens(fixture.ToBatch());  // starts the pool
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // a child that waits for ever dies of this instead
    _exit(Tokens(fixture.ToBatch()) == expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
}

TEST(CpuLayout, ABatchThatCannotBeReadIsRefusedByName) {
  const BatchRows fixture(4, 10);
  const auto message = [](const Batch& batch) { return RefusalOf([&] { Tokens(batch); }); };
  Batch batch = fixture.ToBatch();
  batch.record_count = 1;
  EXPECT_EQ(message(batch),
            "Batch::record_count is 1, expected 4, one record a row (fire::Pack makes them), or a slot for each row");
  const int32_t slot[4] = {};
  batch.slot = slot;
  batch.record_count = 0;
  EXPECT_EQ(message(batch), "Batch::record_count is 0, expected 1 or more");
  batch = fixture.ToBatch();
  batch.vocabulary = 0;
  EXPECT_EQ(message(batch), "Batch::vocabulary is 0, expected 1 to 2097152");
  batch.vocabulary = kMaxVocabulary + 1;
  EXPECT_EQ(message(batch), "Batch::vocabulary is 2097153, expected 1 to 2097152");
  batch = fixture.ToBatch();
  batch.logits = nullptr;
  EXPECT_EQ(message(batch), "Batch::logits is 0, expected memory");
  batch = fixture.ToBatch();
  batch.step = nullptr;
  EXPECT_EQ(message(batch), "Batch::step is 0, expected memory");
  batch = fixture.ToBatch();
  batch.records = nullptr;
  EXPECT_EQ(message(batch), "Batch::records is 0, expected memory");
}

TEST(CpuLayout, HeatingRowsOfAnotherTypeOrThatOverlapIsRefused) {
  BatchRows fixture(2, 8);
  Batch batch = fixture.ToBatch();
  batch.logits_type = LogitsType::kBFloat16;
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data()), std::invalid_argument);
  batch = fixture.ToBatch();
  batch.row_stride = 7;
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data()), std::invalid_argument);
  batch = fixture.ToBatch();
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data() + 1), std::invalid_argument);
  EXPECT_NO_THROW(HeatLogitsCpu(batch, fixture.logits.data()));
}

}  // namespace
}  // namespace fire::test
