#include "oracle.h"

#include <algorithm>
#include <cmath>

#include "fire/status.h"
#include "test_support.h"

namespace fire::test {
namespace {

__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

constexpr float kLn2Inverse = 1.4426950408889634f;

bool IsGreedy(float temperature) { return !(temperature >= 0x1p-64f); }
bool IsInfinite(float temperature) { return temperature > 0x1p120f; }

// a · b + c rounded once. The product of two floats is exact in double; the sum is rounded to odd, which a second
// rounding to float cannot tell from the exact sum (Boldo and Melquiond, 2008).
float RoundedFma(float a, float b, float c) {
  const double product = static_cast<double>(a) * b;
  double sum = product + c;
  const double back = sum - product;
  const double error = (product - (sum - back)) + (c - back);
  if (error != 0) {
    uint64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    if ((bits & 1) == 0) bits += (error > 0) == (sum > 0) ? uint64_t{1} : ~uint64_t{0};
    std::memcpy(&sum, &bits, sizeof bits);
  }
  return static_cast<float>(sum);
}

// Whether an integer is below the real number fraction · total, for 0 < fraction < +inf and total < 2^63.
bool IsBelowProduct(uint64_t integer, float fraction, uint64_t total) {
  if (total == 0) return false;
  if (integer == 0) return true;
  int exponent;
  const double significand = std::frexp(static_cast<double>(fraction), &exponent);  // in [1/2, 1)
  const Wide product = static_cast<Wide>(static_cast<uint64_t>(std::ldexp(significand, 24))) * total;
  const int power = exponent - 24;  // fraction · total = product · 2^power
  const int integer_bits = 64 - __builtin_clzll(integer);
  if (power < 0) return integer_bits - power <= 120 && (static_cast<Wide>(integer) << -power) < product;
  return power > 39 || (product << power) > integer;
}

}  // namespace

uint64_t OracleWeight(float logit, float maximum, float temperature, uint32_t vocabulary) {
  if (std::isnan(logit) || logit == -kInfinity) return 0;
  if (IsInfinite(temperature)) return OracleWeight(maximum, maximum, 1.0f, vocabulary);
  int width = 0;
  while ((uint64_t{1} << width) <= vocabulary - 1) ++width;
  const int scale = 44 - std::max(0, width - 18);
  // Quotients and differences of floats, rounded to double and then to float, are rounded correctly.
  const float c = static_cast<float>(static_cast<double>(kLn2Inverse) / temperature);
  const float least = static_cast<float>(-(scale + 3) / static_cast<double>(c));
  const float d = std::max(static_cast<float>(static_cast<double>(logit) - maximum), least);
  const float z = RoundedFma(d, c, 12582912.0f);
  const float n = z - 12582912.0f;
  const float f = RoundedFma(d, c, -n);
  float p = 0x1.ec320ap-10f;
  for (float coefficient : {0x1.c05fb0p-7f, 0x1.418814p-4f, 0x1.5be09ap-2f, 0x1.f5e45cp-1f, 0x1.6a09eap+0f})
    p = RoundedFma(p, f, coefficient);
  return static_cast<uint64_t>(BitsOf(p) - 0x3F000000u) << (scale - 23) >> (0x4B400000u - BitsOf(z));
}

void OraclePhilox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t left[2] = {counter[1], counter[3]}, right[2] = {counter[0], counter[2]};
  uint32_t round_key[2] = {key[0], key[1]};
  for (int round = 0; round < 10; ++round) {
    const uint64_t product[2] = {uint64_t{0xD2511F53} * right[0], uint64_t{0xCD9E8D57} * right[1]};
    right[0] = static_cast<uint32_t>(product[1] >> 32) ^ left[0] ^ round_key[0];
    right[1] = static_cast<uint32_t>(product[0] >> 32) ^ left[1] ^ round_key[1];
    left[0] = static_cast<uint32_t>(product[1]);
    left[1] = static_cast<uint32_t>(product[0]);
    round_key[0] += 0x9E3779B9;
    round_key[1] += 0xBB67AE85;
  }
  out[0] = right[0];
  out[1] = left[0];
  out[2] = right[1];
  out[3] = left[1];
}

Oracle::Oracle(const std::vector<float>& logits, const Record& record, int64_t step)
    : record_(record), step_(step), raw_(logits) {
  for (float logit : logits) {
    values_.push_back(std::isnan(logit) ? -INFINITY : static_cast<double>(logit));
    if (std::isnan(logit)) status |= kStatusNan;
  }
  maximum_ = *std::max_element(values_.begin(), values_.end());
  const SignedWide steps_into_fire = static_cast<SignedWide>(step) - record.hot_begin;
  hot_ = steps_into_fire >= 0 && steps_into_fire < record.hot_steps;
  now_ = hot_ ? Settings{record.hot_temperature, record.hot_top_k, record.hot_top_p, record.hot_min_p}
              : Settings{record.temperature, record.top_k, record.top_p, record.min_p};
  order_ = record.flags % 4 == 3 ? 0 : record.flags % 4;
  ties_ = std::min(record.flags / 4 % 4, 2u);

  const bool greedy = IsGreedy(now_.temperature);
  if (hot_) status |= kStatusHot;
  if (greedy) status |= kStatusGreedy;
  if (maximum_ == -INFINITY) status |= kStatusNoFiniteLogit;
  if (maximum_ == INFINITY) status |= kStatusInfinity;
  kept.assign(Size(), false);
  if (!greedy && std::isfinite(maximum_)) {
    for (double value : values_)
      weights_.push_back(OracleWeight(static_cast<float>(value), static_cast<float>(maximum_), now_.temperature,
                                      static_cast<uint32_t>(Size())));
    kept = Filtered();
    mass = MassOf(kept);
  }
  decided = mass == 0;
  if (decided) {
    status |= kStatusDecided;
    kept.assign(Size(), false);
    const TokenSet everything(Size(), true);
    for (size_t id = 0; id < Size(); ++id)
      if (PlaceIn(everything, id) == 0) token = static_cast<int64_t>(id);
    kept[static_cast<size_t>(token)] = true;
  }
  kept_count = static_cast<int32_t>(std::count(kept.begin(), kept.end(), true));
  if (!decided && hot_ && Design() == 4) {
    const TokenSet all_kept = kept;
    for (size_t id = 0; id < Size(); ++id) {
      kept[id] = all_kept[id] && PlaceIn(all_kept, id) == MemberIndex() % static_cast<size_t>(kept_count);
      if (kept[id]) token = static_cast<int64_t>(id);
    }
    decided = true;
    status |= kStatusDecided;
  } else if (!decided) {
    token = Draw(RandomBits());
    const long double share = static_cast<long double>(weights_[static_cast<size_t>(token)]) / mass;
    logprob = std::log(share);
  }
  for (double value : values_) rank += value >= values_[static_cast<size_t>(token)];

  if (!std::isfinite(maximum_)) return;
  float temperature = (record.flags & 16) != 0 ? record.ref_temperature : record.temperature;
  if (IsGreedy(temperature)) temperature = 1.0f;
  const float maximum = static_cast<float>(maximum_);
  const uint32_t vocabulary = static_cast<uint32_t>(Size());
  long double mass_of_row = 0;
  for (double value : values_) mass_of_row += OracleWeight(static_cast<float>(value), maximum, temperature, vocabulary);
  ref_logprob = LogSoftmax(static_cast<size_t>(token), temperature, mass_of_row,
                           OracleWeight(maximum, maximum, temperature, vocabulary));
}

bool Oracle::Before(size_t a, size_t b) const { return values_[a] != values_[b] ? values_[a] > values_[b] : a < b; }

size_t Oracle::PlaceIn(const TokenSet& set, size_t id) const {
  size_t place = 0;
  for (size_t other = 0; other < Size(); ++other) place += set[other] && Before(other, id);
  return place;
}

uint64_t Oracle::MassOf(const TokenSet& set) const {
  uint64_t sum = 0;
  for (size_t id = 0; id < Size(); ++id) sum += set[id] ? weights_[id] : 0;
  return sum;
}

// Of the kept tokens of lower id.
uint64_t Oracle::MassBefore(size_t id) const {
  uint64_t sum = 0;
  for (size_t other = 0; other < id; ++other) sum += kept[other] ? weights_[other] : 0;
  return sum;
}

TokenSet Oracle::WithEqualsOf(const TokenSet& chosen, const TokenSet& among) const {
  double least = INFINITY;
  for (size_t id = 0; id < Size(); ++id)
    if (chosen[id]) least = std::min(least, values_[id]);
  TokenSet out = chosen;
  for (size_t id = 0; id < Size(); ++id)
    if (among[id] && values_[id] == least) out[id] = true;
  return out;
}

TokenSet Oracle::TopK(const TokenSet& set, int32_t top_k) const {
  if (top_k <= 0 || static_cast<size_t>(top_k) >= Size()) return set;
  TokenSet out(Size(), false);
  for (size_t id = 0; id < Size(); ++id) out[id] = set[id] && PlaceIn(set, id) < static_cast<size_t>(top_k);
  return ties_ >= 1 ? WithEqualsOf(out, set) : out;
}

TokenSet Oracle::TopP(const TokenSet& set) const {
  if (std::isnan(now_.top_p) || now_.top_p >= 1) return set;
  const uint64_t total = MassOf(set);
  TokenSet out(Size(), false);
  for (size_t id = 0; id < Size(); ++id) {
    if (!set[id]) continue;
    uint64_t mass_before = 0;
    for (size_t other = 0; other < Size(); ++other)
      if (set[other] && Before(other, id)) mass_before += weights_[other];
    out[id] = PlaceIn(set, id) == 0 || (now_.top_p > 0 && IsBelowProduct(mass_before, now_.top_p, total));
  }
  return ties_ == 2 ? WithEqualsOf(out, set) : out;
}

TokenSet Oracle::MinP(const TokenSet& set) const {
  if (std::isnan(now_.min_p) || now_.min_p <= 0) return set;
  const uint64_t largest = *std::max_element(weights_.begin(), weights_.end());
  TokenSet out(Size(), false);
  for (size_t id = 0; id < Size(); ++id)
    out[id] = set[id] && !std::isinf(now_.min_p) && !IsBelowProduct(weights_[id], now_.min_p, largest);
  return out;
}

TokenSet Oracle::Filtered() const {
  const TokenSet everything(Size(), true);
  TokenSet out;
  if (order_ == 0) {
    out = MinP(TopP(TopK(everything, now_.top_k)));
  } else if (order_ == 1) {
    out = TopP(TopK(MinP(everything), now_.top_k));
  } else {
    const TokenSet by_k = TopK(everything, now_.top_k), by_p = TopP(everything);
    out.assign(Size(), false);
    for (size_t id = 0; id < Size(); ++id) out[id] = by_k[id] && by_p[id];
    out = MinP(out);
  }
  for (size_t id = 0; id < Size(); ++id) out[id] = out[id] && values_[id] != -INFINITY;
  return out;
}

uint32_t Oracle::Design() const {
  const uint32_t design = record_.flags / 32 % 8;
  return design <= 4 ? design : 0;
}

uint32_t Oracle::MemberIndex() const { return record_.group / 65536 % (record_.group % 65536 + 1); }

// Two words of the Philox block whose counter ends in w, the higher one first.
uint64_t Oracle::RandomWords(uint32_t w, int high, int low) const {
  const uint64_t step = static_cast<uint64_t>(step_);
  const uint32_t counter[4] = {static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), record_.stream, w};
  const uint32_t key[2] = {record_.seed_low, record_.seed_high};
  uint32_t words[4];
  OraclePhilox(counter, key, words);
  return static_cast<uint64_t>(words[high]) << 32 | words[low];
}

uint64_t Oracle::RandomBits() const {
  if (Design() == 0) return RandomWords(0, 1, 0);
  const uint64_t own = RandomWords(2 + MemberIndex(), 1, 0);
  if (!hot_ || Design() < 2 || Design() > 3) return own;
  const uint64_t members = record_.group % 65536 + 1;
  const Wide turn = static_cast<Wide>(RandomWords(UINT32_MAX, 3, 2)) * members >> 64;
  const Wide stratum = (MemberIndex() + turn) % members;
  return static_cast<uint64_t>(((stratum << 64) + (Design() == 2 ? own : RandomWords(UINT32_MAX, 1, 0))) / members);
}

int64_t Oracle::Draw(uint64_t u) const {
  const uint64_t r = static_cast<uint64_t>(static_cast<Wide>(u) * mass >> 64);
  uint64_t running = 0;
  size_t id = 0;
  for (;; ++id) {
    if (kept[id]) running += weights_[id];
    if (running > r) return static_cast<int64_t>(id);
  }
}

Oracle::Support Oracle::SupportOf(size_t width) const {
  Support out = {std::vector<int32_t>(width, -1), std::vector<long double>(width, -INFINITY), status};
  if (static_cast<size_t>(std::count(kept.begin(), kept.end(), true)) > width) out.status |= kStatusSupportCut;
  const size_t drawn = static_cast<size_t>(token);
  // One place is the drawn token's, whichever it has in the order.
  const size_t others_end = PlaceIn(kept, drawn) < width ? width : width - 1;
  size_t filled = 0;
  for (size_t id = 0; id < Size(); ++id) {
    if (!kept[id] || (id != drawn && PlaceIn(kept, id) >= others_end)) continue;
    out.token[filled] = static_cast<int32_t>(id);
    out.logprob[filled++] = decided ? 0 : std::log(static_cast<long double>(weights_[id]) / mass);
  }
  return out;
}

Oracle::Coded Oracle::SampleCoded(uint64_t code) const {
  if (decided) return {token, code};
  const int64_t drawn = Draw(code);
  const Wide before = MassBefore(static_cast<size_t>(drawn));
  const uint64_t fresh = RandomWords(0xFFFFFFFE - (Design() == 0 ? 0 : MemberIndex()), 1, 0);
  const Wide used = static_cast<Wide>(code) * mass - (before << 64) + (static_cast<Wide>(fresh) * mass >> 64);
  const Wide next = used / weights_[static_cast<size_t>(drawn)];
  return {drawn, next > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(next)};
}

uint64_t Oracle::LastCode() const {
  if (decided) return 0;
  const Wide end = MassBefore(static_cast<size_t>(token)) + weights_[static_cast<size_t>(token)];
  return static_cast<uint64_t>(((end << 64) - 1) / mass);
}

long double Oracle::LogSoftmax(size_t id, float temperature, long double mass_of_set,
                               long double weight_of_maximum) const {
  const long double difference = static_cast<long double>(values_[id]) - maximum_;
  const long double scaled = IsInfinite(temperature) ? 0 : difference / temperature;
  return std::max<long double>(scaled - std::log(mass_of_set / weight_of_maximum), -kMax);
}

std::vector<float> Oracle::ProcessedLogits() const {
  std::vector<float> out(Size(), -kInfinity);
  for (size_t id = 0; id < Size(); ++id) {
    if (!kept[id]) continue;
    const double scaled = decided || IsInfinite(now_.temperature) ? 0 : values_[id] / now_.temperature;
    out[id] = static_cast<float>(std::clamp<double>(scaled, -kMax, kMax));
  }
  return out;
}

bool Oracle::HandsOver() const {
  const auto size = static_cast<int32_t>(Size());
  const auto effective = [size](int32_t k) { return k <= 0 ? size : std::min(k, size); };
  for (float temperature : {record_.temperature, record_.hot_temperature})
    if (IsGreedy(temperature) || IsInfinite(temperature)) return false;
  return std::isnormal(record_.temperature / record_.hot_temperature) && order_ != 2 &&
         BitsOf(record_.hot_top_p) == BitsOf(record_.top_p) && BitsOf(record_.hot_min_p) == BitsOf(record_.min_p) &&
         effective(record_.hot_top_k) <= effective(record_.top_k) && Design() < 2;
}

std::vector<float> Oracle::HeatedLogits() const {
  if (!hot_) return raw_;
  std::vector<float> out(Size(), -kInfinity);
  if (maximum_ == -INFINITY) return out;
  if (maximum_ == INFINITY || !HandsOver()) {
    out[static_cast<size_t>(token)] = 0;
    return out;
  }
  const float ratio = record_.temperature / record_.hot_temperature;
  const TokenSet first = TopK(TokenSet(Size(), true), record_.hot_top_k);
  for (size_t id = 0; id < Size(); ++id)
    if (first[id] && values_[id] != -INFINITY)
      out[id] = std::clamp(static_cast<float>(values_[id]) * ratio, -kMax, kMax);
  return out;
}

long double Oracle::LogProb(int64_t id) const {
  if (id < 0 || id >= static_cast<int64_t>(Size()) || !kept[static_cast<size_t>(id)]) return -INFINITY;
  if (decided) return 0;
  const uint64_t largest = *std::max_element(weights_.begin(), weights_.end());
  return LogSoftmax(static_cast<size_t>(id), now_.temperature, mass, largest);
}

std::vector<long double> Oracle::LogProbGradient(int64_t id) const {
  std::vector<long double> out(Size(), 0);
  if (decided || LogProb(id) == -INFINITY || IsInfinite(now_.temperature)) return out;
  for (size_t i = 0; i < Size(); ++i) {
    if (!kept[i]) continue;
    const long double share = static_cast<long double>(weights_[i]) / mass;
    out[i] = ((static_cast<int64_t>(i) == id ? 1 : 0) - share) / now_.temperature;
  }
  return out;
}

}  // namespace fire::test
