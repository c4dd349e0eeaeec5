// The records of groups, for those who pack them.
#pragma once

#include "definition/design.h"
#include "fire/sampling.h"

namespace fire {

// visit(record) for the `size` members of each of `blocks` blocks: `record`'s, with a seed that follows from the
// block's number, first_block for the first of them.
template <typename Visit>
void ForEachGroupRecord(const Record& record, uint64_t first_block, uint64_t blocks, uint32_t size,
                        const Visit& visit) {
  for (uint64_t block = 0; block < blocks; ++block) {
    const Record spread = SpreadRecord(record, first_block + block);
    for (uint32_t member = 0; member < size; ++member) visit(definition::MemberRecord(spread, size, member));
  }
}

}  // namespace fire
