// Operations on memory and between lanes, which the decoder sets up by hand.
#pragma once

#include <string>

#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

void Load(Warp& w, const Op& op, uint32_t lanes);
void Store(Warp& w, const Op& op, uint32_t lanes);
Execute FindAtomic(const std::string& operation, const std::string& type);  // null if there is none
void CopyLocal(Warp& w, const Op& op, uint32_t lanes);                      // e bytes from local offset a to d
void Fence(Warp& w, const Op& op, uint32_t lanes);

void ToShared(Warp& w, const Op& op, uint32_t lanes);    // cvta.to.shared, .u64 and .u32
void FromShared(Warp& w, const Op& op, uint32_t lanes);  // cvta.shared
void ToLocal(Warp& w, const Op& op, uint32_t lanes);
void FromLocal(Warp& w, const Op& op, uint32_t lanes);
void ToParameter(Warp& w, const Op& op, uint32_t lanes);
void FromParameter(Warp& w, const Op& op, uint32_t lanes);
void IsSpace(Warp& w, const Op& op, uint32_t lanes);     // isspacep
void MapAddress(Warp& w, const Op& op, uint32_t lanes);  // mapa of a generic address, kWide, or of a shared one
void GetRank(Warp& w, const Op& op, uint32_t lanes);     // getctarank

Execute FindShuffle(const std::string& mode);           // up, down, bfly, idx
Execute FindVote(const std::string& mode);              // ballot, any, all, uni
Execute FindMatch(const std::string& mode, bool wide);  // any, all
Execute FindRedux(const std::string& operation, const std::string& type);
void Elect(Warp& w, const Op& op, uint32_t lanes);
void ActiveMask(Warp& w, const Op& op, uint32_t lanes);

void ReadClock(Warp& w, const Op& op, uint32_t lanes);  // %clock and the like: instructions so far
void Nothing(Warp& w, const Op& op, uint32_t lanes);
void AwaitPrior(Warp& w, const Op& op, uint32_t lanes);
void Pack(Warp& w, const Op& op, uint32_t lanes);  // mov.b64 d, {vector}: `bytes` of each element
void Unpack(Warp& w, const Op& op, uint32_t lanes);

void CopyAsync(Warp& w, const Op& op, uint32_t lanes);  // cp.async
void CommitCopies(Warp& w, const Op& op, uint32_t lanes);
void WaitCopies(Warp& w, const Op& op, uint32_t lanes);  // all but the last `offset` groups
void CopyBulk(Warp& w, const Op& op, uint32_t lanes);    // cp.async.bulk to shared memory, completing an mbarrier
void StoreAsync(Warp& w, const Op& op, uint32_t lanes);  // st.async: the same with what registers hold
void BarrierInit(Warp& w, const Op& op, uint32_t lanes);
void BarrierInvalidate(Warp& w, const Op& op, uint32_t lanes);
void BarrierArrive(Warp& w, const Op& op, uint32_t lanes);  // extra: BarrierArrival bits
void BarrierTest(Warp& w, const Op& op, uint32_t lanes);    // extra 1: by parity

enum BarrierArrival : uint32_t { kExpect = 1, kNoArrival = 2, kDrop = 4, kArriveCount = 8, kNoComplete = 16 };

}  // namespace fire::simulator
