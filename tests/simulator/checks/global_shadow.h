// The shadow of global memory, shared by all clusters of a launch.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tests/simulator/checks/shadow.h"

namespace fire::simulator {

// What a location hands from releases to acquires.
struct SyncObject {
  std::map<uint64_t, Snapshot> wide;                      // by cluster
  std::map<std::pair<uint64_t, uint32_t>, Snapshot> cta;  // by cluster and block: releases of .cta scope
};

class GlobalShadow {
 public:
  static constexpr uint64_t kPageBytes = 4096;
  // Loads from more pages than this are checked against the stores before them only: a launch that reads gigabytes is
  // not to need ten times that.
  static constexpr size_t kReadPages = 2048;

  struct Stripe {
    std::mutex mutex;
    std::unordered_map<uint64_t, std::unique_ptr<Shadow>> pages;
    std::unordered_map<uint64_t, SyncObject> sync;
  };
  Stripe& StripeOf(uint64_t address) { return stripes_[address / kPageBytes % kStripes]; }
  // The stripe must be locked. Null for a load from a page that is not kept.
  Shadow* Page(Stripe& stripe, uint64_t address, bool write) {
    std::unique_ptr<Shadow>* page;
    if (const auto it = stripe.pages.find(address / kPageBytes); it != stripe.pages.end()) return it->second.get();
    if (!write && pages_ >= kReadPages) return nullptr;
    ++pages_;
    page = &stripe.pages[address / kPageBytes];
    *page = std::make_unique<Shadow>();
    (*page)->Reset(kPageBytes / 4);
    return page->get();
  }

 private:
  static constexpr size_t kStripes = 64;
  Stripe stripes_[kStripes];
  std::atomic<size_t> pages_{0};
};

}  // namespace fire::simulator
