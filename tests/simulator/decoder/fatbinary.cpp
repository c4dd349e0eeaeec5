#include "tests/simulator/decoder/fatbinary.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace fire::simulator {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243B1;
constexpr uint32_t kContainerMagic = 0xBA55ED50;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kCompressed = 0x2000 | 0x8000;  // LZ4, Zstandard

// As fatbinary_section.h of the toolkit has it.
struct Wrapper {
  uint32_t magic;
  uint32_t version;
  const char* container;
  const void* file_name;
};

struct ContainerHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint64_t payload_bytes;
};

struct EntryHeader {
  uint16_t kind;
  uint16_t version;
  uint32_t header_bytes;
  uint64_t payload_bytes;
  uint32_t compressed_bytes;
  uint32_t options_offset;
  uint16_t minor;
  uint16_t major;
  uint32_t architecture;
  uint32_t name_offset;
  uint32_t name_bytes;
  uint64_t flags;
};
static_assert(sizeof(ContainerHeader) == 16 && sizeof(EntryHeader) == 48);

template <class Header>
Header Read(const char* at) {
  Header header;
  std::memcpy(&header, at, sizeof header);
  return header;
}

// The text itself says whether the target is sm_90 or sm_90a; the entry's header does not.
PtxImage ImageOf(std::string_view text) {
  constexpr std::string_view kTarget = ".target sm_";
  const size_t target = text.find(kTarget);
  if (target == std::string_view::npos) throw std::runtime_error("embedded PTX names no target");
  char* suffix = nullptr;
  PtxImage image;
  image.architecture = static_cast<int>(std::strtol(text.data() + target + kTarget.size(), &suffix, 10));
  image.exact = *suffix == 'a' || *suffix == 'f';
  image.text = text;
  return image;
}

}  // namespace

std::vector<PtxImage> ReadPtxImages(const void* wrapper) {
  const auto& control = *static_cast<const Wrapper*>(wrapper);
  if (control.magic != kWrapperMagic) throw std::runtime_error("not a container of device code");
  const char* at = control.container;
  const auto container = Read<ContainerHeader>(at);
  if (container.magic != kContainerMagic) throw std::runtime_error("a container of device code of an unknown kind");
  at += container.header_bytes;
  const char* const end = at + container.payload_bytes;

  std::vector<PtxImage> images;
  while (at < end) {
    const auto entry = Read<EntryHeader>(at);
    if (entry.kind == kPtx) {
      if (entry.flags & kCompressed) throw std::runtime_error("compressed PTX: compile with nvcc --no-compress");
      const char* text = at + entry.header_bytes;
      images.push_back(ImageOf({text, strnlen(text, entry.payload_bytes)}));
    }
    at += entry.header_bytes + entry.payload_bytes;
  }
  return images;
}

const PtxImage* ChooseImage(const std::vector<PtxImage>& images, int capability) {
  const PtxImage* best = nullptr;
  for (const PtxImage& image : images) {
    if (image.exact ? image.architecture != capability : image.architecture > capability) continue;
    if (!best || image.architecture > best->architecture || (image.architecture == best->architecture && image.exact)) {
      best = &image;
    }
  }
  return best;
}

}  // namespace fire::simulator
