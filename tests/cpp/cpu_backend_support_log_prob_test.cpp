// The vectorised rows of support_log_prob and of its gradient give the reference's bits, on every instruction set that
// runs here.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "support_rows.h"

namespace fire::test {
namespace {

// −0 and +0 are one value; NaN, as an overflow times 0 leaves it, equals itself.
bool Same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

cpu::SupportTask TaskOf(const SupportCase& c) {
  const auto end = std::find(c.support.begin(), c.support.end(), -1);
  return {c.row.data(), c.row.type(),     c.row.size(),
          c.token,      c.support.data(), static_cast<uint32_t>(end - c.support.begin()),
          c.temperature};
}

// The gradient as floats, whatever its type.
std::vector<float> GradientOf(const SupportCase& c, const cpu::RowFunctions& functions, float grad, float full_grad) {
  std::vector<char> bytes(c.row.bytes(), 'x');
  functions.support_log_prob_backward(TaskOf(c), c.reference.Masses(), grad, full_grad, bytes.data());
  std::vector<float> out(c.row.size());
  for (size_t id = 0; id < out.size(); ++id) out[id] = LogitAt(bytes.data(), c.row.type(), id);
  return out;
}

// The first difference, in words; empty where all is equal.
std::string Difference(const SupportCase& c, const cpu::RowFunctions& functions, cpu::Workspace& workspace) {
  const cpu::SupportValues values = functions.support_log_prob(TaskOf(c), {true, true}, workspace);
  if (!Same(values.logprob, c.reference.LogProb())) return "logprob";
  if (!Same(values.full_logprob, c.reference.FullLogProb())) return "full_logprob";
  if (values.status != c.reference.Status()) return "status";
  const SupportMasses masses = c.reference.Masses();
  if (values.masses.mass != masses.mass || values.masses.full_mass != masses.full_mass) return "mass";
  if (values.masses.maximum != masses.maximum || values.masses.full_maximum != masses.full_maximum) return "maximum";
  const cpu::SupportValues alone = functions.support_log_prob(TaskOf(c), {false, false}, workspace);
  if (!Same(alone.logprob, c.reference.LogProb())) return "logprob alone";

  const TypedRow expected = c.Gradient();
  const std::vector<float> gradient = GradientOf(c, functions, c.grad, c.full_grad);
  for (size_t id = 0; id < gradient.size(); ++id)
    if (!Same(gradient[id], expected.values()[id])) return "gradient at " + std::to_string(id);
  return "";
}

void CompareRows(uint64_t seed, int rows, uint32_t largest_vocabulary) {
  Random random(seed);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (int i = 0; i < rows; ++i) {
    const uint32_t vocabulary = 1 + random.Below(random.Below(3) == 0 ? 40 : largest_vocabulary);
    const SupportCase c(random, vocabulary, random.Pick(kLogitsTypes));
    for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
      ASSERT_EQ(Difference(c, *functions, *workspace), "") << functions->name << ", row " << i << ": " << c.Describe();
  }
}

TEST(CpuSupportLogProb, EqualsTheReferenceOnTwentyThousandSmallRows) { CompareRows(1, 20000, 700); }
TEST(CpuSupportLogProb, EqualsTheReferenceOnRowsOfALargeVocabulary) { CompareRows(2, 60, 300000); }

// Masses of another row, logits changed since, any bits: nothing faults, and what lies above the maximum is clamped.
TEST(CpuSupportLogProb, MassesOfAnyBitsFaultNowhere) {
  Random random(3);
  for (int i = 0; i < 300; ++i) {
    const SupportCase c(random, 1 + random.Below(200), random.Pick(kLogitsTypes));
    SupportMasses masses;
    uint64_t words[3] = {random.Bits(), random.Bits(), random.Bits()};
    std::memcpy(&masses, words, sizeof masses);
    std::vector<char> bytes(c.row.bytes());
    for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
      functions->support_log_prob_backward(TaskOf(c), masses, 1.0f, 1.0f, bytes.data());
  }
}

}  // namespace
}  // namespace fire::test
