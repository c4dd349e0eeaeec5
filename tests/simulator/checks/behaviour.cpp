#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

[[noreturn]] void Refuse(const std::string& word) {
  throw std::invalid_argument("FIRE_SIMULATOR: \"" + word +
                              "\"; expected seed=N, races, uninitialised, bounds, weak, deferred, budget=N, threads=N, "
                              "or capability=9.0");
}

uint64_t Number(const std::string& word, const std::string& digits) {
  size_t used = 0;
  uint64_t value = 0;
  try {
    value = std::stoull(digits, &used);
  } catch (const std::exception&) {
    Refuse(word);
  }
  if (used != digits.size() || digits[0] == '-') Refuse(word);
  return value;
}

int Capability(const std::string& word, const std::string& value) {
  const size_t point = value.find('.');
  if (point == std::string::npos) Refuse(word);
  const auto major = static_cast<int>(Number(word, value.substr(0, point)));
  const auto minor = static_cast<int>(Number(word, value.substr(point + 1)));
  return KnownDevice(major, minor).capability();
}

}  // namespace

// A list names what is checked: bounds are left unchecked by a list that does not say so.
Behaviour ParseBehaviour(const std::string& list) {
  Behaviour behaviour;
  Settings& launch = behaviour.launch;
  launch.check_bounds = false;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (word == "races") {
      launch.check_races = true;
    } else if (word == "uninitialised") {
      launch.check_uninitialised = true;
    } else if (word == "bounds") {
      launch.check_bounds = true;
    } else if (word == "weak") {
      launch.weak_memory = true;
    } else if (word == "deferred") {
      behaviour.deferred = true;
    } else if (key == "seed") {
      launch.seed = Number(word, value);
    } else if (key == "budget") {
      launch.step_budget = Number(word, value);
    } else if (key == "threads") {
      launch.threads = static_cast<int>(Number(word, value));
    } else if (key == "capability") {
      behaviour.capability = Capability(word, value);
    } else {
      Refuse(word);
    }
  }
  return behaviour;
}

Behaviour BehaviourOfEnvironment() {
  const char* list = std::getenv("FIRE_SIMULATOR");
  return list ? ParseBehaviour(list) : Behaviour();
}

}  // namespace fire::simulator
