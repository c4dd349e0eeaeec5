// Four sequences draw their first two tokens from the same logits: the first token flaming hot, the second as usual.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fire/sampling.h"
#include "fire/sampling_config.h"

int main() {
  constexpr int64_t kRows = 4;
  constexpr int64_t kVocabulary = 128256;

  // What a language model would return for the next token: a few likely ones, then a long tail.
  std::vector<float> logits(kVocabulary);
  for (int64_t id = 0; id < kVocabulary; ++id) logits[id] = 18.0f - 2.2f * std::log(1.0f + static_cast<float>(id));

  fire::SamplingConfig config;
  config.temperature = 0.7f;
  config.top_k = 50;
  config.top_p = 0.95f;
  config.hot_temperature = 30.0f;  // step 0 only: hot_begin is 0 and hot_steps 1
  config.hot_top_k = 16;
  config.hot_top_p = 1.0f;
  config.seed = 7;

  // One configuration for four sequences: each gets a seed of its own.
  const std::vector<fire::Record> records = fire::Pack(config, kRows);

  int64_t step = 0;
  fire::Batch batch;
  batch.logits = logits.data();
  batch.rows = kRows;
  batch.vocabulary = kVocabulary;
  batch.row_stride = 0;  // every row reads the same logits
  batch.step = &step;
  batch.step_stride = 0;  // every row is at the same step
  batch.records = records.data();
  batch.record_count = kRows;

  int64_t token[kRows];
  float logprob[kRows], ref_logprob[kRows];
  int32_t kept[kRows];
  fire::SampleOutputs outputs;
  outputs.token = token;
  outputs.logprob = logprob;
  outputs.ref_logprob = ref_logprob;
  outputs.kept = kept;

  std::printf("instruction set: %s\n", fire::CpuInstructionSet());
  for (step = 0; step < 2; ++step) {
    fire::SampleCpu(batch, outputs);
    for (int64_t row = 0; row < kRows; ++row)
      std::printf("step %d row %d: token %d of %d kept, logprob %.4f, of the whole softmax %.4f\n",
                  static_cast<int>(step), static_cast<int>(row), static_cast<int>(token[row]), kept[row],
                  static_cast<double>(logprob[row]), static_cast<double>(ref_logprob[row]));
  }
}
