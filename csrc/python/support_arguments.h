// What the NumPy entry's support_log_prob takes: arrays, and the SupportBatch that they describe.
#pragma once

#include "python/arguments.h"

namespace fire::python {

// It owns what `batch` points to. Logits of shape [V] are a batch of one row, whose token may do without its first
// dimension, and whose support does.
class SupportArguments {
 public:
  SupportArguments(const char* function, const py::object& logits, const py::object& token, const py::object& support,
                   const py::object& temperature)
      : logits_(CheckedLogits(function, logits, &batch_)) {
    const View rows = ViewOf("logits", logits_);
    token_ =
        CheckedCopy({function, "token"}, token, [&](const View& view) { CheckOneARow(kWords, view, rows, {"int64"}); });
    support_ = CheckedCopy({function, "support"}, support, [&](const View& view) { CheckSupport(kWords, view, rows); });
    temperature_ = CheckedCopy({function, "temperature"}, temperature,
                               [&](const View& view) { CheckTemperature(kWords, view, rows); });
    batch_.token = static_cast<const int64_t*>(token_.data());
    batch_.support = static_cast<const int32_t*>(support_.data());
    batch_.width = support_.shape(support_.ndim() - 1);
    batch_.temperature = static_cast<const float*>(temperature_.data());
    batch_.temperature_stride = temperature_.ndim() == 0 ? 0 : 1;
  }

  const SupportBatch& batch() const { return batch_; }
  py::object Result(const py::array& result) const { return ResultOf(logits_, result); }

 private:
  SupportBatch batch_;
  py::array logits_, token_, support_, temperature_;
};

}  // namespace fire::python
