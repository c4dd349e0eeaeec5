// A random batch on the device and on the host, and the comparison of what the two backends make of it.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "fire/cuda.h"
#include "tests/cpp/cpu_backend_rows.h"
#include "tests/gpu/cuda_memory.h"
#include "tests/gpu/programs/mistakes.h"

namespace fire::gpu {

// Mostly short rows, of which many can be compared; now and then as long as a model's.
inline uint32_t VocabularyOf(test::Random& random) {
  switch (random.Below(16)) {
    case 0:
      return 1 + random.Below(160000);
    case 1:
    case 2:
      return 1 + random.Below(9000);
    case 3:
      return 1 + random.Below(40);
    default:
      return 1 + random.Below(1200);
  }
}

template <typename T>
T* PointerTo(const Memory<T>& device, const std::vector<T>& host, bool on_device) {
  return on_device ? device.get() : const_cast<T*>(host.data());
}

// Rows on both sides, and the same records and steps.
class RandomBatch {
 public:
  explicit RandomBatch(uint64_t seed) : seed_(seed), random_(seed) {
    vocabulary_ = VocabularyOf(random_);
    rows_ =
        1 + random_.Below(static_cast<uint32_t>(std::max<int64_t>(2, std::min<int64_t>(512, 400000 / vocabulary_))));
    type_ = static_cast<LogitsType>(random_.Below(3));
    stride_ = vocabulary_ + (random_.Below(2) == 0 ? 0 : random_.Below(20));
    offset_ = random_.Below(2) == 0 ? 0 : random_.Below(20);
    const size_t element = type_ == LogitsType::kFloat32 ? 4 : 2;
    logits_.assign(static_cast<size_t>(offset_ + rows_ * stride_) * element, 0xFF);  // NaN between the rows
    for (int64_t row = 0; row < rows_; ++row) {
      const test::TypedRow typed(test::TroublesomeRow(random_, static_cast<uint32_t>(vocabulary_)), type_);
      std::memcpy(&logits_[static_cast<size_t>(offset_ + row * stride_) * element], typed.data(), typed.bytes());
    }
    element_bytes_ = element;
    on_device_ = std::make_unique<Memory<uint8_t>>(logits_);
    ScatterOutputs();
  }

  int64_t rows() const { return rows_; }

  // One set of records; the functions besides Sample with some sets only, as their output is a row long.
  void Run(int set, Mistakes& mistakes) {
    NewRecords();
    Sample(/*reference=*/set % 2 == 0, mistakes);
    if (set % 8 == 1) LogProb(mistakes);
    if (set % 8 == 3) ProcessLogits(mistakes);
    if (set % 8 == 5) LogProbBackward(mistakes);
    if (set % 8 == 7 && type_ == LogitsType::kFloat32) HeatLogits(mistakes);
  }

 private:
  void ScatterOutputs() {
    const auto rows = static_cast<size_t>(rows_);
    token_ = std::make_unique<Memory<int64_t>>(rows);
    for (auto* floats : {&logprob_, &ref_logprob_}) *floats = std::make_unique<Memory<float>>(rows);
    for (auto* words : {&rank_, &kept_, &status_}) *words = std::make_unique<Memory<int32_t>>(rows);
  }

  void NewRecords() {
    with_slot_ = random_.Below(2) == 0;
    const int64_t count = with_slot_ ? 1 + random_.Below(300) : rows_;
    records_host_.clear();
    for (int64_t i = 0; i < count; ++i) {
      records_host_.push_back(test::TroublesomeRecord(random_, static_cast<uint32_t>(vocabulary_)));
    }
    slot_host_.clear();
    steps_host_.clear();
    tokens_host_.clear();
    grads_host_.clear();
    for (int64_t row = 0; row < rows_; ++row) {
      slot_host_.push_back(static_cast<int32_t>(random_.Below(310)) - 5);
      steps_host_.push_back(random_.Below(8) == 0 ? static_cast<int64_t>(random_.Bits()) : random_.Below(4));
      tokens_host_.push_back(static_cast<int64_t>(random_.Below(static_cast<uint32_t>(vocabulary_) + 2)) - 1);
      grads_host_.push_back(static_cast<float>(random_.Bell()));
    }
    step_is_int64_ = random_.Below(2) == 0;
    step_stride_ = random_.Below(4) == 0 ? 0 : 1;
    steps_short_host_.assign(steps_host_.begin(), steps_host_.end());
    records_ = std::make_unique<Memory<Record>>(records_host_);
    slot_ = std::make_unique<Memory<int32_t>>(slot_host_);
    steps_ = std::make_unique<Memory<int64_t>>(steps_host_);
    steps_short_ = std::make_unique<Memory<int32_t>>(steps_short_host_);
    tokens_ = std::make_unique<Memory<int64_t>>(tokens_host_);
    grads_ = std::make_unique<Memory<float>>(grads_host_);
  }

  Batch BatchOn(bool device) const {
    Batch batch;
    batch.logits = (device ? on_device_->get() : logits_.data()) + static_cast<size_t>(offset_) * element_bytes_;
    batch.logits_type = type_;
    batch.rows = rows_;
    batch.vocabulary = vocabulary_;
    batch.row_stride = stride_;
    batch.step_is_int64 = step_is_int64_;
    batch.step = step_is_int64_ ? static_cast<const void*>(PointerTo(*steps_, steps_host_, device))
                                : static_cast<const void*>(PointerTo(*steps_short_, steps_short_host_, device));
    batch.step_stride = step_stride_;
    batch.records = PointerTo(*records_, records_host_, device);
    batch.record_count = static_cast<int64_t>(records_host_.size());
    batch.slot = with_slot_ ? PointerTo(*slot_, slot_host_, device) : nullptr;
    return batch;
  }

  void Sample(bool reference, Mistakes& mistakes) {
    const auto rows = static_cast<size_t>(rows_);
    std::vector<int64_t> token(rows);
    std::vector<float> logprob(rows), ref_logprob(rows);
    std::vector<int32_t> rank(rows), kept(rows), status(rows);
    SampleOutputs here;
    here.token = token.data();
    here.logprob = logprob.data();
    here.kept = kept.data();
    here.status = status.data();
    SampleOutputs there;
    token_->Fill(0xEE);
    there.token = token_->get();
    there.logprob = logprob_->get();
    there.kept = kept_->get();
    there.status = status_->get();
    if (reference) {
      here.ref_logprob = ref_logprob.data();
      here.rank = rank.data();
      there.ref_logprob = ref_logprob_->get();
      there.rank = rank_->get();
    }
    SampleCuda(BatchOn(true), there, nullptr);
    SampleCpu(BatchOn(false), here);
    Compare("token", *token_, token, mistakes);
    Compare("logprob", *logprob_, logprob, mistakes);
    Compare("kept", *kept_, kept, mistakes);
    Compare("status", *status_, status, mistakes);
    if (!reference) return;
    Compare("ref_logprob", *ref_logprob_, ref_logprob, mistakes);
    Compare("rank", *rank_, rank, mistakes);
  }

  void LogProb(Mistakes& mistakes) {
    std::vector<float> here(static_cast<size_t>(rows_));
    LogProbCuda(BatchOn(true), tokens_->get(), 1, logprob_->get(), nullptr);
    LogProbCpu(BatchOn(false), tokens_host_.data(), 1, here.data());
    Compare("log_prob", *logprob_, here, mistakes);
  }

  void LogProbBackward(Mistakes& mistakes) {
    std::vector<uint8_t> here(static_cast<size_t>(rows_ * vocabulary_) * element_bytes_);
    const Memory<uint8_t> there(here.size());
    LogProbBackwardCuda(BatchOn(true), tokens_->get(), 1, grads_->get(), 1, there.get(), vocabulary_, nullptr);
    LogProbBackwardCpu(BatchOn(false), tokens_host_.data(), 1, grads_host_.data(), 1, here.data(), vocabulary_);
    CompareElements("log_prob_backward", there.Read(), here, vocabulary_, mistakes);
  }

  void ProcessLogits(Mistakes& mistakes) {
    const int64_t out_stride = vocabulary_ + random_.Below(5);
    std::vector<float> here(static_cast<size_t>(rows_ * out_stride));
    Memory<float> there(here);
    ProcessLogitsCuda(BatchOn(true), there.get(), out_stride, nullptr);
    ProcessLogitsCpu(BatchOn(false), here.data(), out_stride);
    Compare("process_logits", there, here, mistakes);
  }

  void HeatLogits(Mistakes& mistakes) {
    const Memory<uint8_t> heated(logits_);
    std::vector<uint8_t> here = logits_;
    Batch on_device = BatchOn(true);
    Batch on_host = BatchOn(false);
    const size_t skipped = static_cast<size_t>(offset_) * element_bytes_;
    on_device.logits = heated.get() + skipped;
    on_host.logits = here.data() + skipped;
    HeatLogitsCuda(on_device, reinterpret_cast<float*>(heated.get() + skipped), nullptr);
    HeatLogitsCpu(on_host, reinterpret_cast<float*>(here.data() + skipped));
    // What lies before and between the rows must still be as it was.
    CompareElements("heat_logits_", heated.Read(), here, stride_, mistakes);
  }

  template <typename T>
  void Compare(const char* what, const Memory<T>& there, const std::vector<T>& here, Mistakes& mistakes) const {
    const std::vector<T> got = there.Read();
    for (size_t i = 0; i < here.size(); ++i) {
      if (Same(got[i], here[i])) continue;
      Tell(what, i, here.size() / static_cast<size_t>(rows_), static_cast<double>(got[i]), static_cast<double>(here[i]),
           mistakes);
    }
  }
  static bool Same(float a, float b) { return Close(a, b); }
  template <typename T>
  static bool Same(T a, T b) {
    return a == b;
  }

  // By bits, or as numbers where they are close.
  void CompareElements(const char* what, const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected,
                       int64_t width, Mistakes& mistakes) const {
    for (size_t at = 0; at + element_bytes_ <= got.size(); at += element_bytes_) {
      if (std::memcmp(&got[at], &expected[at], element_bytes_) == 0) continue;
      const float a = ElementAt(got, at);
      const float b = ElementAt(expected, at);
      if (!Close(a, b)) Tell(what, at / element_bytes_, static_cast<size_t>(width), a, b, mistakes);
    }
  }
  float ElementAt(const std::vector<uint8_t>& bytes, size_t at) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &bytes[at], element_bytes_);
    if (type_ == LogitsType::kBFloat16) bits = definition::BFloat16ToFloatBits(static_cast<uint16_t>(bits));
    if (type_ == LogitsType::kFloat16) bits = definition::Float16ToFloatBits(static_cast<uint16_t>(bits));
    return definition::BitsToFloat(bits);
  }

  // `width` elements of the result belong to each row.
  void Tell(const char* what, size_t index, size_t width, double got, double expected, Mistakes& mistakes) const {
    const size_t row = std::min(index / width, static_cast<size_t>(rows_) - 1);
    const auto last = static_cast<int32_t>(records_host_.size()) - 1;
    const size_t record = with_slot_ ? static_cast<size_t>(std::clamp(slot_host_[row], 0, last)) : row;
    mistakes.Add(
        "%s of row %zu [%zu]: %.9g, expected %.9g; seed %llu, type %d, R %lld, V %lld, stride %lld, step %lld; %s",
        what, row, index % width, got, expected, static_cast<unsigned long long>(seed_), static_cast<int>(type_),
        static_cast<long long>(rows_), static_cast<long long>(vocabulary_), static_cast<long long>(stride_),
        static_cast<long long>(steps_host_[row * (step_stride_ ? 1 : 0)]),
        test::Describe(records_host_[record]).c_str());
  }

  uint64_t seed_;
  test::Random random_;
  int64_t vocabulary_ = 0;
  int64_t rows_ = 0;
  int64_t stride_ = 0;
  int64_t offset_ = 0;
  LogitsType type_ = LogitsType::kFloat32;
  size_t element_bytes_ = 4;
  std::vector<uint8_t> logits_;
  std::unique_ptr<Memory<uint8_t>> on_device_;

  bool with_slot_ = false;
  bool step_is_int64_ = true;
  int64_t step_stride_ = 1;
  std::vector<Record> records_host_;
  std::vector<int32_t> slot_host_;
  std::vector<int64_t> steps_host_;
  std::vector<int32_t> steps_short_host_;
  std::vector<int64_t> tokens_host_;
  std::vector<float> grads_host_;
  std::unique_ptr<Memory<Record>> records_;
  std::unique_ptr<Memory<int32_t>> slot_;
  std::unique_ptr<Memory<int64_t>> steps_;
  std::unique_ptr<Memory<int32_t>> steps_short_;
  std::unique_ptr<Memory<int64_t>> tokens_;
  std::unique_ptr<Memory<float>> grads_;
  std::unique_ptr<Memory<int64_t>> token_;
  std::unique_ptr<Memory<float>> logprob_, ref_logprob_;
  std::unique_ptr<Memory<int32_t>> rank_, kept_, status_;
};

}  // namespace fire::gpu
