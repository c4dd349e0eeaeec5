// A row whose values a function on the host refuses: what SupportLogProbCpu and its gradient throw, for entries that
// name arguments in words of their own.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fire {

class RefusedRow : public std::invalid_argument {
 public:
  // `what` goes on where the argument's name ends.
  RefusedRow(const char* structure, const char* argument, const std::string& what)
      : std::invalid_argument(std::string(structure) + "::" + argument + " " + what),
        argument_(argument),
        words_(what) {}

  const char* argument() const { return argument_; }
  const std::string& words() const { return words_; }

 private:
  const char* argument_;
  std::string words_;
};

}  // namespace fire
