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

Record Filtered(uint64_t seed) {
  Record record = PlainRecord(seed);
  record.temperature = 0.8f;
  record.top_k = 20;
  record.top_p = 0.95f;
  record.hot_temperature = 30.0f;
  record.hot_top_k = 16;
  record.hot_steps = 1;
  return record;
}

int64_t ReferenceToken(const float* row, int64_t vocabulary, const Record& record, int64_t step) {
  return definition::ReferenceRow(row, static_cast<uint32_t>(vocabulary), record, step).Sample().token;
}

// Rows, records and steps of a batch, contiguous unless a test says otherwise.
struct Fixture {
  explicit Fixture(int64_t rows_in, int64_t vocabulary_in, uint64_t seed = 1)
      : rows(rows_in), vocabulary(vocabulary_in), logits(static_cast<size_t>(rows * vocabulary)) {
    Random random(seed);
    for (float& x : logits) x = static_cast<float>(3 * random.Bell());
    for (int64_t row = 0; row < rows; ++row) {
      records.push_back(Filtered(random.Bits()));
      steps.push_back(row % 3);
    }
  }

  Batch MakeBatch() const {
    Batch batch;
    batch.logits = logits.data();
    batch.rows = rows;
    batch.vocabulary = vocabulary;
    batch.row_stride = vocabulary;
    batch.step = steps.data();
    batch.records = records.data();
    batch.record_count = rows;
    return batch;
  }

  std::vector<int64_t> Expected() const {
    std::vector<int64_t> out;
    for (int64_t row = 0; row < rows; ++row)
      out.push_back(ReferenceToken(logits.data() + row * vocabulary, vocabulary, records[static_cast<size_t>(row)],
                                   steps[static_cast<size_t>(row)]));
    return out;
  }

  int64_t rows, vocabulary;
  std::vector<float> logits;
  std::vector<Record> records;
  std::vector<int64_t> steps;
};

TEST(CpuLayout, NoRowsIsNoWork) {
  const Fixture fixture(0, 5);
  EXPECT_TRUE(Tokens(fixture.MakeBatch()).empty());
}

TEST(CpuLayout, AVocabularyOfOneHasOneToken) {
  const Fixture fixture(3, 1);
  EXPECT_EQ(Tokens(fixture.MakeBatch()), std::vector<int64_t>(3, 0));
}

TEST(CpuLayout, PaddingBetweenRowsIsNotRead) {
  const Fixture fixture(7, 1001);
  std::vector<float> padded(7 * 1030, kInfinity);
  for (size_t row = 0; row < 7; ++row) std::copy_n(&fixture.logits[row * 1001], 1001, &padded[row * 1030]);
  Batch batch = fixture.MakeBatch();
  batch.logits = padded.data();
  batch.row_stride = 1030;
  EXPECT_EQ(Tokens(batch), fixture.Expected());
}

TEST(CpuLayout, AnyBaseAddressServesEveryTypeAndInstructionSet) {
  Random random(6);
  const auto workspace = std::make_unique<cpu::Workspace>();
  const Record record = Filtered(9);
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16}) {
    std::vector<float> values(1003);
    for (float& x : values) x = static_cast<float>(3 * random.Bell());
    const TypedRow row(values, type);
    const int64_t expected = ReferenceToken(row.values().data(), row.size(), record, 1);
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

TEST(CpuLayout, ARowStrideOfZeroReadsOneRowManyTimes) {
  Fixture fixture(1, 500);
  for (int64_t row = 1; row < 40; ++row) {
    fixture.records.push_back(Filtered(static_cast<uint64_t>(row)));
    fixture.steps.push_back(row);
  }
  Batch batch = fixture.MakeBatch();
  batch.rows = batch.record_count = 40;
  batch.row_stride = 0;
  const std::vector<int64_t> token = Tokens(batch);
  for (size_t row = 0; row < 40; ++row)
    EXPECT_EQ(token[row], ReferenceToken(fixture.logits.data(), 500, fixture.records[row], fixture.steps[row]));
}

TEST(CpuLayout, RowsMoreThanTwoToThe32ElementsApartAreFound) {
  constexpr int64_t kStride = (int64_t{1} << 32) + 7;
  const Fixture fixture(2, 3000);
  const size_t bytes = (kStride + 3000) * sizeof(float);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* logits = static_cast<float*>(memory);
  std::copy_n(fixture.logits.data(), 3000, logits);
  std::copy_n(fixture.logits.data() + 3000, 3000, logits + kStride);
  Batch batch = fixture.MakeBatch();
  batch.logits = logits;
  batch.row_stride = kStride;
  EXPECT_EQ(Tokens(batch), fixture.Expected());
  munmap(memory, bytes);
}

TEST(CpuLayout, StepsMayBeInt32StridedOrOneForAll) {
  const Fixture fixture(9, 300);
  Batch batch = fixture.MakeBatch();
  std::vector<int32_t> narrow(fixture.steps.begin(), fixture.steps.end());
  batch.step = narrow.data();
  batch.step_is_int64 = false;
  EXPECT_EQ(Tokens(batch), fixture.Expected());

  std::vector<int64_t> spaced(27, -5);
  for (size_t row = 0; row < 9; ++row) spaced[3 * row] = fixture.steps[row];
  batch.step = spaced.data();
  batch.step_is_int64 = true;
  batch.step_stride = 3;
  EXPECT_EQ(Tokens(batch), fixture.Expected());

  Fixture same = fixture;
  same.steps.assign(9, 1);
  batch.step_stride = 0;
  spaced[0] = 1;
  EXPECT_EQ(Tokens(batch), same.Expected());
}

TEST(CpuLayout, ANegativeInt32StepIsTheNegativeInt64Step) {
  const Fixture fixture(1, 300);
  Batch batch = fixture.MakeBatch();
  const int32_t narrow = -3;
  const int64_t wide = -3;
  batch.step = &wide;
  const std::vector<int64_t> expected = Tokens(batch);
  batch.step = &narrow;
  batch.step_is_int64 = false;
  EXPECT_EQ(Tokens(batch), expected);
}

TEST(CpuLayout, SlotsChooseRecordsAndAreClampedWithAStatusBit) {
  Fixture fixture(5, 300);
  const std::vector<int32_t> slot = {4, 0, -1, 5, 2};
  const size_t used[] = {4, 0, 0, 4, 2};
  Batch batch = fixture.MakeBatch();
  batch.slot = slot.data();
  std::vector<int64_t> token(5);
  std::vector<int32_t> status(5);
  SampleOutputs outputs;
  outputs.token = token.data();
  outputs.status = status.data();
  SampleCpu(batch, outputs);
  for (size_t row = 0; row < 5; ++row) {
    EXPECT_EQ(token[row],
              ReferenceToken(&fixture.logits[row * 300], 300, fixture.records[used[row]], fixture.steps[row]));
    EXPECT_EQ((status[row] & kStatusSlotOutOfRange) != 0, row == 2 || row == 3);
  }
}

TEST(CpuLayout, ThreadsAndBatchesChangeNothing) {
  const Fixture fixture(67, 2000);
  const std::vector<int64_t> expected = fixture.Expected();
  EXPECT_EQ(Tokens(fixture.MakeBatch()), expected);
  const ParallelFor backwards = [](int64_t count, const ParallelForBody& body) {
    for (int64_t row = count; row > 0; --row) body(row - 1, row);
  };
  EXPECT_EQ(Tokens(fixture.MakeBatch(), backwards), expected);
  for (int64_t row = 0; row < 67; ++row) {
    Batch batch = fixture.MakeBatch();
    batch.rows = batch.record_count = 1;
    batch.logits = fixture.logits.data() + row * 2000;
    batch.records += row;
    batch.step = fixture.steps.data() + row;
    EXPECT_EQ(Tokens(batch)[0], expected[static_cast<size_t>(row)]);
  }
}

TEST(CpuLayout, RoundingModeAndFlushedSubnormalsOfTheCallerChangeNothing) {
  Fixture fixture(40, 300);
  for (size_t i = 0; i < fixture.logits.size(); i += 2) fixture.logits[i] *= 1e-39f;
  const std::vector<int64_t> expected = fixture.Expected();
  std::vector<float> processed(fixture.logits.size()), under_pressure(fixture.logits.size());
  ProcessLogitsCpu(fixture.MakeBatch(), processed.data(), 300);
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
#if defined(__x86_64__)
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  const unsigned asked = _mm_getcsr();
#endif
  const std::vector<int64_t> token = Tokens(fixture.MakeBatch());
  ProcessLogitsCpu(fixture.MakeBatch(), under_pressure.data(), 300);
#if defined(__x86_64__)
  EXPECT_EQ(_mm_getcsr() & 0xFFC0, asked & 0xFFC0) << "the caller's settings must come back";
  _mm_setcsr(before);
#endif
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(token, expected);
  EXPECT_EQ(std::memcmp(processed.data(), under_pressure.data(), processed.size() * sizeof(float)), 0);
}

TEST(CpuLayout, AForkedChildDoesNotWaitForItsParentsThreads) {
  const Fixture fixture(64, 2000);
  const std::vector<int64_t> expected = Tokens(fixture.MakeBatch());  // starts the pool
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // a child that waits for ever dies of this instead
    _exit(Tokens(fixture.MakeBatch()) == expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
}

TEST(CpuLayout, ABatchThatCannotBeReadIsRefusedByName) {
  const Fixture fixture(4, 10);
  const auto message = [](const Batch& batch) {
    try {
      Tokens(batch);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  Batch batch = fixture.MakeBatch();
  batch.record_count = 1;
  EXPECT_EQ(message(batch),
            "Batch::record_count is 1, expected 4, one record a row (SpreadRecord makes them), or a slot for each row");
  const int32_t slot[4] = {};
  batch.slot = slot;
  batch.record_count = 0;
  EXPECT_EQ(message(batch), "Batch::record_count is 0, expected 1 or more");
  batch = fixture.MakeBatch();
  batch.vocabulary = 0;
  EXPECT_EQ(message(batch), "Batch::vocabulary is 0, expected 1 to 2097152");
  batch.vocabulary = kMaxVocabulary + 1;
  EXPECT_EQ(message(batch), "Batch::vocabulary is 2097153, expected 1 to 2097152");
  batch = fixture.MakeBatch();
  batch.logits = nullptr;
  EXPECT_EQ(message(batch), "a pointer among Batch::logits, step and records is 0, expected none to be null");
}

TEST(CpuLayout, HeatingRowsOfAnotherTypeOrThatOverlapIsRefused) {
  Fixture fixture(2, 8);
  Batch batch = fixture.MakeBatch();
  batch.logits_type = LogitsType::kBFloat16;
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data()), std::invalid_argument);
  batch = fixture.MakeBatch();
  batch.row_stride = 7;
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data()), std::invalid_argument);
  batch = fixture.MakeBatch();
  EXPECT_THROW(HeatLogitsCpu(batch, fixture.logits.data() + 1), std::invalid_argument);
  EXPECT_NO_THROW(HeatLogitsCpu(batch, fixture.logits.data()));
}

TEST(CpuLayout, SpreadRecordsDifferInSeedAlone) {
  const Record record = Filtered(123);
  const Record a = SpreadRecord(record, 0), b = SpreadRecord(record, 1);
  EXPECT_NE(definition::SeedOf(a), definition::SeedOf(b));
  Record back = b;
  back.seed_low = record.seed_low;
  back.seed_high = record.seed_high;
  EXPECT_EQ(std::memcmp(&back, &record, sizeof record), 0);
}

}  // namespace
}  // namespace fire::test
