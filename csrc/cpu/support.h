// The support of a sampled row: the tokens of the kept set that the draw was from, by ascending id.
#pragma once

#include "cpu/kept_row.h"
#include "definition/draw.h"

namespace fire::cpu::FIRE_ISA {

// The places for one row's support, filled from the first on.
class SupportPlaces {
 public:
  SupportPlaces(const SupportOutputs& out, uint64_t mass) : out_(out), mass_(mass) {}

  void Add(uint32_t id, uint64_t weight) {
    out_.token[count_] = static_cast<int32_t>(id);
    if (out_.logprob != nullptr) out_.logprob[count_] = weight == 0 ? kMasked : definition::LogRatio(weight, mass_);
    ++count_;
  }

  // Adds a token where its id belongs.
  void Insert(uint32_t id, uint64_t weight) {
    Add(id, weight);
    for (int64_t at = count_ - 1; at > 0 && out_.token[at - 1] > out_.token[at]; --at) {
      Swap(out_.token + at);
      if (out_.logprob != nullptr) Swap(out_.logprob + at);
    }
  }

  // Fills the places behind the last.
  void Finish() {
    for (int64_t i = count_; i < out_.width; ++i) out_.token[i] = definition::kNoToken;
    if (out_.logprob == nullptr) return;
    for (int64_t i = count_; i < out_.width; ++i) out_.logprob[i] = kMasked;
  }

 private:
  // Of a value and the one before it.
  template <typename Value>
  static void Swap(Value* at) {
    const Value value = at[0];
    at[0] = at[-1];
    at[-1] = value;
  }

  const SupportOutputs& out_;
  uint64_t mass_;
  int64_t count_ = 0;
};

// Adds the kept tokens of the order up to `last`, an Entry.
template <typename T>
void AddKept(const KeptRow<T>& kept, uint64_t last, const Workspace& workspace, SupportPlaces* places) {
  const KeptSet& kept_set = kept.kept_set();
  if (kept_set.listed) {
    for (uint32_t i = 0; i < kept_set.count; ++i)
      if (definition::Entry(Key(workspace.candidate_logit[i]), workspace.candidate_id[i]) >= last)
        places->Add(workspace.candidate_id[i], workspace.candidate_weight[i]);
    return;
  }
  const KeptRule rule = {.last = last, .min_weight = kept_set.rule.min_weight};
  ForKept(kept.row(), rule, kept.vector_scale(), workspace, [&](uint32_t id, Floats x, uint32_t bits) {
    alignas(64) uint64_t weight[kLanes];
    StoreWeights(weight, WeightsOf(x, kept.vector_scale()));
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
      places->Add(id + lane, weight[lane]);
    }
  });
}

// Adds the support of a row whose kept set is counted. Writes the candidate list. Not inline: most samples are without.
template <typename T>
[[gnu::noinline]] void AddSupport(const KeptRow<T>& kept, const SupportOutputs& support, Workspace& workspace,
                                  RowSample* out) {
  const uint32_t token = static_cast<uint32_t>(out->token);
  SupportPlaces places(support, kept.decided() ? 1 : kept.kept_set().mass);
  if (kept.decided()) {
    places.Add(token, 1);
  } else if (out->kept <= support.width) {
    AddKept(kept, kept.kept_set().rule.last, workspace, &places);
  } else {
    out->status |= kStatusSupportCut;
    const uint64_t last = kept.EntryAt(static_cast<uint32_t>(support.width) - 1);
    const float logit = ValueAt(kept.row().logits, token);
    const bool has_drawn = definition::Entry(Key(logit), token) >= last;
    AddKept(kept, has_drawn ? last : last + 1, workspace, &places);
    if (!has_drawn) places.Insert(token, definition::Weight(logit, kept.scale()));
  }
  places.Finish();
}

}  // namespace fire::cpu::FIRE_ISA
